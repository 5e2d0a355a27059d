"""ONNX Runtime, by any of its execution providers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.onnx_model import write_onnx
from ofa_hw.profiling.measurement import MeasurementPlan, Workload
from profilers.model_files import ModelFileProfiler


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxRuntimeOptions:
    """The options of a device for ONNX Runtime: the execution provider."""

    provider: str = "CPUExecutionProvider"


class OnnxRuntimeProfiler(ModelFileProfiler):
    """ONNX models in ONNX Runtime, through the execution provider that the device names."""

    runtime = "onnxruntime"
    distribution = "onnxruntime"
    extra = "onnx"
    method = "wall clock around session.run_with_iobinding(), input and output in host memory"
    suffix = ".onnx"
    model_suffixes: tuple[str, ...] = (".onnx",)
    is_nhwc = False
    worker_runtime = "onnxruntime"
    option_types = (OnnxRuntimeOptions,)

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the .onnx file of `workload`."""
        if plan.dtype != "float32":
            raise InvalidInputError(f"dtype must be float32 for {self.runtime}; came {plan.dtype!r}")
        return write_onnx(workload.folded(), batch_size=plan.batch_size)

    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return the execution provider."""
        return {"provider": self.device.read(OnnxRuntimeOptions).provider}
