import pytest

from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.profiling import Device, MeasurementPlan, Workload
from ofa_hw.testing import ProfilerContract, heavy_block
from profilers.onnx import OnnxRuntimeProfiler

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


class TestOnnxRuntimeProfiler(ProfilerContract):
    def make_profiler(self):
        return OnnxRuntimeProfiler()


def test_unknown_execution_provider_lists_those_there_are():
    device = Device(name="npu", runtime="onnxruntime", options={"provider": "ToasterExecutionProvider"})
    with pytest.raises(DeviceError, match=r"must be one of .*CPUExecutionProvider.*; came Toaster"):
        OnnxRuntimeProfiler(device).open([Workload.of_block(heavy_block())], MeasurementPlan())


def test_other_dtypes_are_refused():
    with pytest.raises(InvalidInputError, match="dtype must be float32"):
        OnnxRuntimeProfiler().open([Workload.of_block(heavy_block())], MeasurementPlan(dtype="int8"))
