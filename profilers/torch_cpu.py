"""torch on the CPU: the reference that needs no extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.npz import write_npz
from ofa_hw.profiling.measurement import MeasurementPlan, Workload
from profilers.model_files import ModelFileProfiler, TransportType
from profilers.transport import LocalTransport


class TorchCpuProfiler(ModelFileProfiler):
    """The modules of `build_subnet` in eager mode, channels last."""

    runtime = "torch"
    distribution = "torch"
    extra = "tflite"
    method = "wall clock around module(x) in inference mode"
    suffix = ".npz"
    is_nhwc = False
    worker_runtime = "torch"
    # The worker builds our own modules, which no board has.
    transports: Mapping[str, TransportType] = {"local": LocalTransport}
    worker = Path(__file__).with_name("torch_worker.py")
    # Without them glibc gives the memory of activations back to the system and fetches it again at every call: a net
    # then takes 1.4 or 5.2 ms, as it happens.
    env: Mapping[str, str] = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the folded blocks of `workload` as a file."""
        if plan.dtype not in ("float32", "bfloat16"):
            raise InvalidInputError(f"dtype must be float32 or bfloat16 for {self.runtime}; came {plan.dtype!r}")
        return write_npz(workload.folded())

    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return the type and the batch."""
        return {"dtype": plan.dtype, "batch_size": plan.batch_size}
