"""The adapter: what file a workload becomes, and which worker opens it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.onnx_model import write_onnx
from ofa_hw.profiling import MeasurementPlan, Workload
from profilers.model_files import ModelFileProfiler


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainOptions:
    """What a device may say for this runtime: whether memory comes from ONNX Runtime's arena."""

    use_arena: bool = True


class PlainOnnxRuntimeProfiler(ModelFileProfiler):
    """ONNX models in ONNX Runtime, executed operator by operator as they are written."""

    runtime = "plain-onnxruntime"
    distribution = "onnxruntime"
    extra = "onnx"
    method = "wall clock around session.run(), optimisations off"
    suffix = ".onnx"
    is_nhwc = False
    worker_runtime = "plain-onnxruntime"
    option_types = (PlainOptions,)
    worker = Path(__file__).with_name("worker.py")

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the .onnx file of `workload`."""
        if plan.dtype != "float32":
            raise InvalidInputError(f"dtype must be float32 for {self.runtime}; came {plan.dtype!r}")
        return write_onnx(workload.folded(), batch_size=plan.batch_size)

    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return what the worker must know beside the model and the threads."""
        return {"use_arena": self.device.read(PlainOptions).use_arena}
