"""TFLite, through ai-edge-litert or the older tflite-runtime: the same code on the same files."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence

from ofa_hw.errors import InvalidInputError, MissingDependencyError
from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.formats.tflite import write_tflite
from ofa_hw.formats.tflite_int8 import write_tflite_int8
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions, Workload, random_input
from ofa_hw.profiling.protocol import Session
from profilers.local import choose_mask, local_state, open_local


class TfliteProfiler:
    """Times TFLite models on this machine through ai-edge-litert, XNNPACK taking the whole graph."""

    runtime = "tflite"
    package = "ai_edge_litert"
    distribution = "ai-edge-litert"
    extra = "tflite"
    use_delegate = True
    method = "wall clock around interpreter.invoke()"

    def __init__(self, device: Device | None = None) -> None:
        """Time on `device`; None stands for this machine with one thread."""
        self.device = device or Device(name="host", runtime=self.runtime)

    def check(self) -> None:
        """Return where the runtime is installed; MissingDependencyError names its extra."""
        self._version()

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan` here."""
        mask = choose_mask(plan)
        state = local_state(mask)
        return RunConditions(
            device=self.device.name,
            runtime=self.runtime,
            runtime_version=self._version(),
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            num_threads=plan.num_threads,
            cpu_mask=mask,
            governor=state["governor"],
            clocks=state["clocks"],
        )

    def state(self) -> Mapping[str, str]:
        """Return what this machine tells of itself now."""
        return local_state(self.device.cpu_mask)

    def open(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> Session:
        """Write `workloads` as .tflite files and open them in a fresh process."""
        if plan.dtype not in _WRITERS:
            raise InvalidInputError(
                f"dtype must be one of {', '.join(_WRITERS)} for {self.runtime}; came {plan.dtype!r}"
            )
        write = _WRITERS[plan.dtype]
        return open_local(
            (write(workload.folded(), plan.batch_size) for workload in workloads),
            names=[workload.name for workload in workloads],
            runtime="tflite",
            suffix=".tflite",
            plan=plan,
            options={"package": self.package, "use_delegate": self.use_delegate},
            is_nhwc=True,
            title=f"{self.device.name} ({self.distribution})",
        )

    def _version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingDependencyError(
                f"{self.distribution} is not installed; install it with `pip install 'ofa-hw[{self.extra}]'`"
            ) from error


class TfliteBuiltinProfiler(TfliteProfiler):
    """Times TFLite models by the runtime's own kernels, XNNPACK off."""

    runtime = "tflite-builtin"
    use_delegate = False


def _write_float32(blocks: Sequence[FoldedBlock], batch_size: int) -> bytes:
    return write_tflite(blocks, batch_size=batch_size)


def _write_int8(blocks: Sequence[FoldedBlock], batch_size: int) -> bytes:
    from ofa_hw.nn.reference import value_ranges

    # Latency does not depend on ranges; that the outputs are right does.
    return write_tflite_int8(blocks, value_ranges(blocks, random_input(blocks[0].spec)), batch_size=batch_size)


_WRITERS = {"float32": _write_float32, "int8": _write_int8}
