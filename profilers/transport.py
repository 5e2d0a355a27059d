"""How a worker is reached: a `Transport` copies it and its models to where it runs, and starts it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ofa_hw.files import own_prefix
from ofa_hw.profiling.device import Device
from profilers.worker import Server
from profilers.worker_process import ANSWER_SECONDS, WorkerProcess

WORKER = Path(__file__).with_name("worker.py")

THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TVM_NUM_THREADS",
)
"""Environment variables by which libraries take the number of their threads when they are loaded."""


Makers = Mapping[str, Callable[[str, dict[str, Any]], Any]]


class Worker(Protocol):
    """Something that answers requests; `name` is what errors call it."""

    name: str

    def ask(self, request: dict[str, Any], *, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return the answer to `request`; DeviceError where it takes longer, or is a failure that names no model."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Transport(Protocol):
    """A way to a machine with Python; its class is made of a device, a `worker` and an `env`, as `LocalTransport`."""

    option_types: ClassVar[tuple[type, ...]]
    """The dataclasses that declare its own options of a device."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a worker's answer to one request that needs no model."""
        ...

    def start(
        self, models: Iterable[bytes | Path], *, suffix: str, num_threads: int
    ) -> tuple[Worker, list[str], Callable[[], None]]:
        """Start a worker beside `models`: contents of files whose names will end in `suffix`, or files that are there.

        Returns:
            The worker, the paths of the files as it sees them, and what removes everything once it has ended.

        Raises:
            DeviceError: the machine does not answer, or has no room.
        """
        ...


class LocalTransport:
    """Workers are child processes of this one."""

    option_types: ClassVar[tuple[type, ...]] = ()

    def __init__(self, device: Device, *, worker: Path = WORKER, env: Mapping[str, str] | None = None) -> None:
        """Run the script `worker` with `env` beside this process's environment; errors name `device`."""
        self._name = device.name
        self._worker = worker
        self._env = dict(env or {})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer that a worker here would give."""
        return Server({}).answer(request)

    def start(
        self, models: Iterable[bytes | Path], *, suffix: str, num_threads: int
    ) -> tuple[Worker, list[str], Callable[[], None]]:
        """Start a worker in a new process; its files lie in a temporary folder."""
        folder = Path(tempfile.mkdtemp(prefix=own_prefix()))
        try:
            paths = _write_models(folder, models, suffix)
            env = {**os.environ, **dict.fromkeys(THREAD_COUNTS, str(num_threads)), **self._env}
            # -P keeps this folder off the path, where `onnx.py` would hide the package of that name.
            worker = WorkerProcess([sys.executable, "-P", str(self._worker)], name=self._name, env=env)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return worker, paths, lambda: shutil.rmtree(folder, ignore_errors=True)


class InProcessTransport:
    """No process at all: for runtimes that are stood in for, in tests."""

    option_types: ClassVar[tuple[type, ...]] = ()

    def __init__(self, makers: Makers) -> None:
        """Serve the runtimes of `makers`."""
        self._makers = makers

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request that needs no model."""
        return Server({}).answer(request)

    def start(
        self, models: Iterable[bytes | Path], *, suffix: str, num_threads: int
    ) -> tuple[Worker, list[str], Callable[[], None]]:
        """Return a server in this process; its files lie in a temporary folder."""
        folder = Path(tempfile.mkdtemp(prefix=own_prefix()))
        paths = _write_models(folder, models, suffix)
        return InProcessWorker(self._makers), paths, lambda: shutil.rmtree(folder, ignore_errors=True)


class InProcessWorker:
    """Answers requests here, and pins nothing."""

    def __init__(self, makers: Makers) -> None:
        """Serve the runtimes of `makers`."""
        self.name = "this process"
        self._server = Server(makers)

    def ask(self, request: dict[str, Any], *, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return the answer to `request`, however long it takes."""
        # No cores: to pin this process would pin the tests.
        return self._server.answer({**request, "cores": []})

    def close(self) -> None:
        """Return; there is nothing to end."""


def _write_models(folder: Path, models: Iterable[bytes | Path], suffix: str) -> list[str]:
    """Return the paths of `models`; a file stays where it is, since others may belong to it."""
    paths = []
    for index, model in enumerate(models):
        path = model if isinstance(model, Path) else folder / f"{index}{suffix}"
        if not isinstance(model, Path):
            path.write_bytes(model)
        paths.append(str(path.resolve()))
    return paths
