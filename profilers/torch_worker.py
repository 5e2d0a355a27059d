"""The worker of the torch runtimes: as `worker.py`, but its models are folded blocks, built by torch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ofa_hw.formats.npz import read_npz
from profilers.torch_modules import build_folded
from profilers.worker import Runner, serve


class TorchRunner:
    """A chain of blocks in eager torch on the CPU, channels last."""

    def __init__(self, path: str, *, dtype: str, batch_size: int, num_threads: int) -> None:
        """Build the modules of the folded blocks at `path`."""
        torch.set_num_threads(num_threads)
        self.mark = ""
        blocks = read_npz(path)
        spec = blocks[0].spec
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._module = build_folded(blocks).to(self._dtype)
        self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.run(np.zeros((batch_size, spec.in_channels, spec.input_size, spec.input_size), np.float32))

    def invoke(self) -> object:
        """Execute the modules once."""
        with torch.inference_mode():
            return self._module(self._x)

    def run(self, x: Any) -> Any:
        """Return the float32 output for the float32 array `x`, which stays the input."""
        self._x = torch.tensor(x).to(dtype=self._dtype, memory_format=torch.channels_last)
        return self.invoke().float().numpy()  # type: ignore[attr-defined]


def _make_torch(path: str, request: dict[str, Any]) -> Runner:
    return TorchRunner(path, num_threads=request["num_threads"], **request["options"])


def _make_cuda(path: str, request: dict[str, Any]) -> Runner:
    from profilers.cuda_runner import CudaRunner, TorchCuda

    return CudaRunner(path, cuda=TorchCuda(), **request["options"])


MAKERS: dict[str, Callable[[str, dict[str, Any]], Runner]] = {"torch": _make_torch, "cuda": _make_cuda}

if __name__ == "__main__":
    serve(MAKERS)
