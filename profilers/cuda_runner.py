"""One chain of blocks on a GPU, timed by CUDA events around replays of a CUDA graph.

The CPU needs longer to launch the kernels of a small block than the GPU to compute them, so eager launches measure the
CPU. A graph is replayed by one launch, which is also how such networks are deployed; comparing it with eager launches
shows which rows are launch-bound. Events and graphs come from an argument, so that all of this is tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ofa_hw.formats.npz import read_npz
from profilers.torch_modules import build_folded

_WARM_UP_CALLS = 5
_MIN_LAUNCHES = 20
"""Fewer would time the clock's resolution of half a microsecond."""
_LAUNCH_BOUND = 1.5
"""A model whose eager time is more than so many times the graph's is launch-bound."""


class Event(Protocol):
    """A moment on the GPU's time line."""

    def record(self) -> object:
        """Mark this moment behind all work that was launched before."""
        ...

    def elapsed_time(self, end: Any) -> float:
        """Return the milliseconds from this moment to `end`."""
        ...


class Cuda(Protocol):
    """What is needed of CUDA."""

    name: str
    """The device for torch, such as `cuda`."""

    def event(self) -> Event:
        """Return a new event that can be timed."""
        ...

    def synchronize(self) -> None:
        """Wait until all launched work is done."""
        ...

    def capture(self, call: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Return what replays `call` as one graph, and the tensor that every replay writes."""
        ...


class TorchCuda:
    """CUDA as torch gives it."""

    name = "cuda"

    def event(self) -> Event:
        """Return a timing event."""
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def synchronize(self) -> None:
        """Wait for the current device."""
        torch.cuda.synchronize()

    def capture(self, call: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Capture `call` on a side stream, as CUDA asks for."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = call()
        return graph.replay, output


class CudaRunner:
    """The modules of folded blocks on a GPU, channels last, as one graph."""

    def __init__(self, path: str, *, cuda: Cuda, dtype: str, batch_size: int) -> None:
        """Build, warm up, capture, and compare eager launches with the graph."""
        blocks = read_npz(path)
        spec = blocks[0].spec
        self._cuda = cuda
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._module = build_folded(blocks).to(cuda.name, self._dtype)
        self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        shape = (batch_size, spec.in_channels, spec.input_size, spec.input_size)
        self._x = self._on_device(np.zeros(shape, np.float32))
        for _ in range(_WARM_UP_CALLS):
            self._eager()
        cuda.synchronize()
        self.invoke, self._y = cuda.capture(self._eager)
        is_bound = self._time(self._eager, _MIN_LAUNCHES) > _LAUNCH_BOUND * self._time(self.invoke, _MIN_LAUNCHES)
        self.mark = "launch-bound" if is_bound else ""

    def run(self, x: Any) -> Any:
        """Return the float32 output for the float32 array `x`."""
        # In place: the graph reads the memory that it was captured with.
        self._x.copy_(self._on_device(x))
        self.invoke()
        self._cuda.synchronize()
        return self._y.float().cpu().numpy()

    def measure(self, count: int) -> float:
        """Return the milliseconds on the GPU for one execution, the mean of `count` in a row or more."""
        return self._time(self.invoke, max(count, _MIN_LAUNCHES))

    def _time(self, call: Callable[[], object], count: int) -> float:
        begin, end = self._cuda.event(), self._cuda.event()
        self._cuda.synchronize()
        begin.record()
        for _ in range(count):
            call()
        end.record()
        self._cuda.synchronize()
        return begin.elapsed_time(end) / count

    def _eager(self) -> Tensor:
        with torch.inference_mode():
            output: Tensor = self._module(self._x)
        return output

    def _on_device(self, x: Any) -> Tensor:
        return torch.tensor(x).to(device=self._cuda.name, dtype=self._dtype, memory_format=torch.channels_last)
