"""One model file, timed without a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ofa_hw.bench.suite import RUNTIMES
from ofa_hw.bench.suite_run import profiler_for
from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling import Device, MeasurementPlan, ModelFile, NetworkMeasurement, Workload, measure
from ofa_hw.progress import ProgressCallback, no_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimedFile:
    """What a model file takes, and what the run says of itself: its `notes` and its `warnings`, a sentence each."""

    path: Path
    timing: NetworkMeasurement
    notes: Mapping[str, str]
    warnings: tuple[str, ...]


def time_file(
    path: str | Path,
    device: Device,
    plan: MeasurementPlan,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    progress: ProgressCallback = no_progress,
    seed: int = 0,
) -> TimedFile:
    """Return what the model file at `path` takes on `device`, by its runtime or, where that cannot, the file's own.

    `shapes` are those of inputs by name that the file leaves open.

    Raises:
        InvalidInputError: there is no such file, or no runtime of the device opens it.
        DeviceError, MissingDependencyError: the device does not answer, or its runtime cannot run the file.
    """
    path = Path(path)
    if path.suffix not in RUNTIMES or not path.is_file():
        raise InvalidInputError(f"there must be a file {' or '.join(RUNTIMES)} to time; {path} is none")
    workload = Workload(name=path.name, file=ModelFile(path=path, shapes=dict(shapes or {})))
    profiler = profiler_for(workload, device)
    run = measure(profiler, (), plan, networks=[workload], progress=progress, seed=seed)
    return TimedFile(path=path, timing=run.networks[0], notes=run.notes, warnings=run.warnings())
