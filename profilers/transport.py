"""How a worker is reached: a `Transport` puts it and its models where it runs, and starts it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from ofa_hw.profiling.device import Device
from profilers.worker import Server
from profilers.worker_process import WorkerProcess

WORKER = Path(__file__).with_name("worker.py")

_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Transport(Protocol):
    """A way to a machine with Python."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a worker's answer to one request that needs no model."""
        ...

    def start(
        self, models: Iterable[bytes], *, suffix: str, num_threads: int
    ) -> tuple[WorkerProcess, list[str], Callable[[], None]]:
        """Start a worker beside files with the contents `models`, whose names end in `suffix`.

        Returns:
            The worker, the paths of the files as it sees them, and what removes everything once it has ended.

        Raises:
            DeviceError: the machine does not answer, or has no room.
        """
        ...


class LocalTransport:
    """Workers are child processes of this one."""

    def __init__(self, device: Device) -> None:
        """Call the worker by the name of `device` in errors."""
        self._name = device.name

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer that a worker here would give."""
        return Server({}).answer(request)

    def start(
        self, models: Iterable[bytes], *, suffix: str, num_threads: int
    ) -> tuple[WorkerProcess, list[str], Callable[[], None]]:
        """Start a worker in a new process; its files lie in a temporary folder."""
        folder = Path(tempfile.mkdtemp(prefix="ofa-hw-"))
        try:
            paths = []
            for index, content in enumerate(models):
                paths.append(str(folder / f"{index}{suffix}"))
                Path(paths[-1]).write_bytes(content)
            env = {**os.environ, **dict.fromkeys(_THREAD_COUNTS, str(num_threads))}
            # -P keeps this folder off the path, where `onnx.py` would hide the package of that name.
            worker = WorkerProcess([sys.executable, "-P", str(WORKER)], name=self._name, env=env)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return worker, paths, lambda: shutil.rmtree(folder, ignore_errors=True)
