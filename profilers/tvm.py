"""TVM: blocks are compiled here, for this machine or another, and timed in a worker or over TVM's RPC."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions, Workload
from ofa_hw.profiling.protocol import Profiler, Session
from profilers.model_files import ModelFileProfiler
from profilers.tvm_build import compile_module, fused_functions, import_tvm, make_target
from profilers.tvm_rpc import RpcConnection, RpcOptions, RpcSession
from profilers.tvm_tune import Tuner, run_here

Run = Callable[[Path, list[tuple[int, ...]]], list[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TvmOptions:
    """The options of a device for TVM: `target`, its cross compiler, whether to `tune`, where schedules are kept."""

    target: dict[str, Any] = dataclasses.field(default_factory=dict)
    cross_compiler: str = ""
    tune: bool = False
    tune_database: str = "tvm-database"


class TvmCompiler:
    """Compiles workloads for a device, each once, so that all processes time the same library."""

    def __init__(self, device: Device, run: Run) -> None:
        """Compile for the target of `device`; `run` times the candidates of tuning there."""
        self._options = device.read(TvmOptions)
        self._run = run
        self._known: dict[tuple[tuple[BlockSpec, ...], int, int], bytes] = {}

    def library(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the shared library of `workload`.

        Raises:
            InvalidInputError: the plan's type is not float32.
            DeviceError: a compiler is missing.
        """
        if plan.dtype != "float32":
            raise InvalidInputError(f"dtype must be float32 for tvm; came {plan.dtype!r}")
        if workload.blocks is not None:
            return self._compile(workload, plan)
        # Random weights are the same for the same blocks, so the blocks are the key.
        key = (workload.specs, plan.batch_size, plan.num_threads)
        if key not in self._known:
            self._known[key] = self._compile(workload, plan)
        return self._known[key]

    def version(self) -> str:
        """Return TVM's version and how functions are scheduled."""
        import_tvm()
        schedule = "tuned" if self._options.tune else "scheduled by hand"
        return f"{importlib.metadata.version('apache-tvm')}, {schedule}"

    def _compile(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        target = make_target(self._options.target, num_threads=plan.num_threads)
        module = fused_functions(workload.folded(), batch_size=plan.batch_size, target=target)
        if self._options.tune:
            module = Tuner(Path(self._options.tune_database), target, self._run).apply(module)
        return compile_module(module, target=target, cross_compiler=self._options.cross_compiler)


class TvmProfiler(ModelFileProfiler):
    """Libraries of TVM in its virtual machine, on this machine or on a board by ssh."""

    runtime = "tvm"
    distribution = "apache-tvm"
    extra = "tvm"
    method = "wall clock around the compiled function"
    suffix = ".so"
    is_nhwc = False
    worker_runtime = "tvm"
    option_types = (TvmOptions,)

    def __init__(self, device: Device | None = None) -> None:
        """Time on `device`; None stands for this machine with one thread."""
        super().__init__(device)
        self._compiler = TvmCompiler(self.device, run_here)

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan` there."""
        return dataclasses.replace(super().conditions(plan), runtime_version=self._compiler.version())

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the shared library of `workload`."""
        return self._compiler.library(workload, plan)

    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return the shape of each input."""
        return {"shapes": [input_shape(workload, plan) for workload in workloads]}


class TvmRpcProfiler:
    """Libraries of TVM on a device that runs TVM's RPC server."""

    runtime = "tvm"
    method = "TVM's time_evaluator on the device"
    model_suffixes: tuple[str, ...] = ()
    option_types: tuple[type, ...] = (TvmOptions, RpcOptions)
    transports: tuple[str, ...] = ("rpc",)

    def __init__(self, device: Device) -> None:
        """Time on `device`, which names a server or a tracker."""
        device.check_options(*self.option_types)
        self.device = device
        self._connection = RpcConnection(device)
        self._compiler = TvmCompiler(device, self._connection.run)

    def check(self) -> None:
        """Check that the server or the tracker answers."""
        import_tvm()
        self._connection.check()

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan`; an RPC server reports nothing about its machine."""
        return RunConditions(
            device=self.device.name,
            runtime=self.runtime,
            runtime_version=self._compiler.version(),
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            num_threads=plan.num_threads,
            cpu_mask=plan.cpu_mask or "chosen by the server",
            governor="unknown",
            clocks="unknown",
        )

    def state(self) -> Mapping[str, str]:
        """Return what is known of the device."""
        return {"host": self._connection.address}

    def capacity_bytes(self) -> float:
        """Return how many bytes of weights are uploaded at once; a server does not report its memory."""
        return 400e6

    def open(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> Session:
        """Upload the libraries of `workloads` in a new connection, for which the server makes a new process."""
        libraries = [self._compiler.library(workload, plan) for workload in workloads]
        return RpcSession(
            self._connection.connect(),
            libraries,
            shapes=[input_shape(workload, plan) for workload in workloads],
            num_threads=plan.num_threads,
            name=self.device.name,
        )


def make_profiler(device: Device | None = None) -> Profiler:
    """Return what times TVM: over RPC where the device says so, else in a worker."""
    if device is None:
        return TvmProfiler()
    device.require_transport((*TvmProfiler.transports, *TvmRpcProfiler.transports))
    return TvmRpcProfiler(device) if device.transport in TvmRpcProfiler.transports else TvmProfiler(device)


def input_shape(workload: Workload, plan: MeasurementPlan) -> list[int]:
    """Return the shape of the input of `workload`, BCHW."""
    first = workload.specs[0]
    return [plan.batch_size, first.in_channels, first.input_size, first.input_size]
