"""Profilers of runtimes that take model files: files are written here; a worker on the device opens and times them."""

from __future__ import annotations

import base64
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError, MissingDependencyError, how_to_install
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions, Workload, cores_of, mask_of
from ofa_hw.profiling.protocol import Times
from profilers import worker_process
from profilers.ssh import SshTransport
from profilers.transport import WORKER, LocalTransport, Transport, Worker

_LEAST_CAPACITY_BYTES = 200e6
"""Also where the machine reports no free memory."""


class TransportType(Protocol):
    """A class of `Transport`."""

    @property
    def option_types(self) -> tuple[type, ...]:
        """The dataclasses that declare its own options of a device."""
        ...

    def __call__(self, device: Device, *, worker: Path, env: Mapping[str, str]) -> Transport:
        """Return the way to `device`, where the script `worker` runs with `env`."""
        ...


TRANSPORTS: Mapping[str, TransportType] = {"local": LocalTransport, "ssh": SshTransport}


class ModelFileProfiler(ABC):
    """A runtime that opens model files, on this machine or on a board with Python.

    `distribution` is the package that brings the runtime, `extra` the extra of ofa-hw that installs it here.
    `option_types` are the dataclasses that declare the runtime's own options of a device; an instance adds those of its
    transport. `transports` are the ways to a device by name. `worker` is the script that opens the models, all that a
    board needs of ofa-hw, and `env` its environment.
    """

    runtime: str
    distribution: str
    extra: str
    method: str
    suffix: str
    is_nhwc: bool
    worker_runtime: str
    model_suffixes: tuple[str, ...] = ()
    option_types: tuple[type, ...] = ()
    transports: Mapping[str, TransportType] = TRANSPORTS
    worker: Path = WORKER
    env: Mapping[str, str] = {}

    def __init__(self, device: Device | None = None) -> None:
        """Time on `device`; None stands for this machine with one thread.

        Raises:
            InvalidInputError: the device has a transport or an option that is not known here.
        """
        self.device = device or Device(name="host", runtime=self.runtime)
        self.device.require_transport(self.transports)
        transport = self.transports[self.device.transport]
        self.option_types = (*self.option_types, *transport.option_types)
        self.device.check_options(*self.option_types)
        self.transport = transport(self.device, worker=self.worker, env=self.env)

    @abstractmethod
    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the content of the model file of `workload`."""

    @abstractmethod
    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return what the worker must know to open a model, apart from the number of threads."""

    def check(self) -> None:
        """Check that the machine answers and has the runtime; MissingDependencyError names the extra."""
        self._version()

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan` there."""
        state = self.state()
        return RunConditions(
            device=self.device.name,
            runtime=self.runtime,
            runtime_version=self._version(),
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            num_threads=plan.num_threads,
            cpu_mask=self._mask(plan),
            governor=state["governor"],
            clocks=state["clocks"],
        )

    def state(self) -> Mapping[str, str]:
        """Return what the machine reports now."""
        cores = list(cores_of(self.device.cpu_mask)) if self.device.cpu_mask else []
        state: Mapping[str, str] = self.transport.ask({"op": "state", "cores": cores})["state"]
        return state

    def capacity_bytes(self) -> float:
        """Return how many bytes of weights fit into one process: a fifth of the free memory, for files and models."""
        return max(float(self._machine["memory_bytes"]) / 5, _LEAST_CAPACITY_BYTES)

    def open(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> WorkerSession:
        """Write the model files of `workloads` and open them in a fresh process."""
        worker, paths, clean = self.transport.start(
            (workload.file.path if workload.file else self.write(workload, plan) for workload in workloads),
            suffix=self.suffix,
            num_threads=plan.num_threads,
        )
        request = {
            "runtime": self.worker_runtime,
            "models": paths,
            "shapes": [dict(workload.file.shapes) if workload.file else None for workload in workloads],
            "cores": list(cores_of(self._mask(plan))),
            "num_threads": plan.num_threads,
            "options": self.options(workloads, plan),
        }
        names = [workload.name for workload in workloads]
        return WorkerSession(worker, request, names=names, is_nhwc=self.is_nhwc, clean=clean, seconds=plan.max_seconds)

    def _version(self) -> str:
        version: str | None = self._machine["versions"][self.distribution]
        if version is not None:
            return version
        where = "here" if self.device.transport == "local" else f"on {self.device.name}"
        how = how_to_install(self.extra) if where == "here" else f"pip install {self.distribution}"
        raise MissingDependencyError(f"{self.distribution} is not installed {where}; install it with `{how}`")

    def _mask(self, plan: MeasurementPlan) -> str:
        """Return the mask of the plan; by default that of the last cores, since core 0 handles most interrupts."""
        if plan.cpu_mask is not None:
            return mask_of(cores_of(plan.cpu_mask))
        cores: list[int] = self._machine["cores"]
        return mask_of(tuple(cores[-plan.num_threads :]))

    @functools.cached_property
    def _machine(self) -> dict[str, Any]:
        return self.transport.ask({"op": "describe", "distributions": [self.distribution, "numpy"]})


class WorkerSession:
    """A `Session` in a worker: models are NHWC or NCHW files that it has opened."""

    def __init__(
        self,
        worker: Worker,
        request: dict[str, Any],
        *,
        names: Sequence[str],
        is_nhwc: bool,
        clean: Callable[[], None],
        seconds: float,
    ) -> None:
        """Let `worker` open the models of `request`; `clean` is called at the end, or when this fails.

        Each answer may take `seconds`, and at least `ANSWER_SECONDS`.

        Raises:
            DeviceError: naming the workload that cannot be built.
        """
        self._worker, self._is_nhwc, self._clean = worker, is_nhwc, clean
        self._seconds = max(seconds, worker_process.ANSWER_SECONDS)
        try:
            answer = self._ask({"op": "open", **request})
            if not answer["ok"]:
                raise DeviceError(f"{worker.name} cannot build {names[answer['index']]}: {answer['error']}")
        except BaseException:
            self.close()
            raise
        self.marks = tuple(answer["marks"])

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the output of the model with this index, BCHW or logits."""
        x = np.ascontiguousarray(x_BCHW.transpose(0, 2, 3, 1) if self._is_nhwc else x_BCHW)
        text = base64.b64encode(x.tobytes()).decode()
        answer = self._ask({"op": "run", "index": index, "input": text, "shape": list(x.shape)})
        y = np.frombuffer(base64.b64decode(answer["output"]), np.float32)
        if y.size != math.prod(answer["shape"]):
            raise DeviceError(
                f"{self._worker.name}: an output of shape {answer['shape']} must have as many values; came {y.size}"
            )
        y = y.reshape(answer["shape"])
        return y.transpose(0, 3, 1, 2) if self._is_nhwc and y.ndim == 4 else y

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        """Return the times of the models in `order`."""
        answer = self._ask({"op": "time", "order": list(order), "repeats": list(repeats)})
        return Times(
            ms=tuple(answer["ms"]),
            is_disturbed=tuple(answer["disturbed"]),
            others_load=float(answer["others_load"]),
            num_cores=answer["num_cores"],
        )

    def close(self) -> None:
        """End the worker, and remove its files whatever happens meanwhile."""
        try:
            self._worker.close()
        finally:
            self._clean()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._worker.ask(request, seconds=self._seconds)
