"""CUDA through torch: float32, float16 or bfloat16, any batch, clocks recorded."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.formats.npz import write_npz
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions, Workload
from profilers.cuda_runner import Cuda, CudaRunner
from profilers.torch_cpu import TorchCpuProfiler
from profilers.transport import InProcessTransport

_DTYPES = ("float32", "float16", "bfloat16")
_QUERY = {
    "gpu": "name",
    "driver": "driver_version",
    "clocks": "clocks.sm",
    "memory_clock": "clocks.mem",
    "temperature": "temperature.gpu",
    "power": "power.draw",
}


class CudaProfiler(TorchCpuProfiler):
    """The modules of `build_subnet` on a GPU, replayed as a CUDA graph between two events."""

    runtime = "cuda"
    method = "CUDA events around 20 or more replays of a CUDA graph, divided by their number"
    worker_runtime = "cuda"

    def __init__(self, device: Device | None = None, *, cuda: Cuda | None = None) -> None:
        """Time on this machine's GPU; `cuda` stands in for it in tests, then all runs in this process."""
        super().__init__(device)
        self._cuda = cuda
        if cuda is not None:
            self.transport = InProcessTransport({"cuda": self._make_runner})

    def check(self) -> None:
        """Check that torch sees a GPU.

        Raises:
            DeviceError: it does not; the message says whether torch or the driver is the reason.
        """
        super().check()
        if self._cuda is None:
            import torch

            if not torch.cuda.is_available():
                build = torch.version.cuda
                reason = (
                    f"this torch {torch.__version__} is built without CUDA" if build is None else "no driver or GPU"
                )
                raise DeviceError(
                    f"{self.device.name}: torch sees no GPU here ({reason}); install a build of torch for CUDA on a "
                    "machine with an NVIDIA GPU"
                )

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan`, with the GPU's clocks."""
        conditions = super().conditions(plan)
        clocks = self._query().get("clocks")
        return conditions if clocks is None else dataclasses.replace(conditions, clocks=clocks)

    def state(self) -> Mapping[str, str]:
        """Return what this machine and its GPU report now."""
        return {**super().state(), **self._query()}

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the folded blocks of `workload` as a file."""
        if plan.dtype not in _DTYPES:
            raise InvalidInputError(f"dtype must be one of {', '.join(_DTYPES)} for cuda; came {plan.dtype!r}")
        return write_npz(workload.folded())

    def _make_runner(self, path: str, request: dict[str, Any]) -> CudaRunner:
        assert self._cuda is not None
        return CudaRunner(path, cuda=self._cuda, **request["options"])

    def _query(self) -> dict[str, str]:
        """Return what nvidia-smi reports of the first GPU; {} where there is none."""
        client = shutil.which("nvidia-smi")
        if client is None:
            return {}
        command = [client, f"--query-gpu={','.join(_QUERY.values())}", "--format=csv,noheader", "--id=0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        values = [value.strip() for value in done.stdout.split("\n")[0].split(",")]
        return dict(zip(_QUERY, values, strict=True)) if done.returncode == 0 and len(values) == len(_QUERY) else {}
