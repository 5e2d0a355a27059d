"""The profiler keeps the contract, and ofa-hw finds it."""

from ofa_hw import get_profiler, list_profilers
from ofa_hw.plugins import find_device
from ofa_hw.testing import ProfilerContract
from plain_onnxruntime.profiler import PlainOnnxRuntimeProfiler


class TestPlainOnnxRuntime(ProfilerContract):
    """Every test of the contract."""

    spaces = ("fashion",)

    def make_profiler(self) -> PlainOnnxRuntimeProfiler:
        """Return the profiler under test."""
        return PlainOnnxRuntimeProfiler(None)


def test_ofa_hw_finds_the_runtime_and_the_device() -> None:
    """By the entry points of pyproject.toml alone."""
    assert "plain-onnxruntime" in list_profilers()
    device = find_device("host-plain-onnxruntime")
    assert isinstance(get_profiler(device.runtime, device), PlainOnnxRuntimeProfiler)
