"""Measuring a suite: the models of each runtime beside the reference, in interleaved rounds of several processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.bench.benchmark import Benchmark, require_comparable, this_machine
from ofa_hw.bench.metric import Metric, ProcessTimes
from ofa_hw.bench.reference import digest_of, reference_for
from ofa_hw.bench.suite import RUNTIMES, Suite
from ofa_hw.errors import InvalidInputError
from ofa_hw.plugins import get_profiler
from ofa_hw.profiling import Device, MeasurementPlan, Profiler, RunConditions, TimedRun, Workload, plan_for
from ofa_hw.progress import ProgressCallback, no_progress

_TARGET_RELATIVE_CI = 0.02
_MIN_RUNS_OF_PROCESS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """The workloads of one runtime."""

    profiler: Profiler
    workloads: tuple[Workload, ...]
    reference: Workload


def gate_plan(device: Device, *, num_processes: int, max_seconds: float) -> MeasurementPlan:
    """Return the plan that times a suite on `device`.

    Within a process it is no more precise than processes differ from each other: more runs would not narrow intervals.
    """
    plan = plan_for(
        device, target_relative_ci=_TARGET_RELATIVE_CI, max_seconds=max_seconds, num_processes=num_processes
    )
    # A plan counts runs over all processes.
    return dataclasses.replace(plan, min_runs=_MIN_RUNS_OF_PROCESS * num_processes)


def run_suite(
    suite: Suite,
    device: Device,
    plan: MeasurementPlan,
    *,
    baseline: Benchmark | None = None,
    baseline_path: str | Path = "",
    progress: ProgressCallback = no_progress,
    seed: int = 0,
) -> Benchmark:
    """Return the latencies of the models and blocks of `suite` on `device`, in ms and as multiples of the reference.

    Files that the device's own runtime does not open are timed by the one that does. A `baseline` that could not be
    compared with the result is refused before anything is timed.

    Raises:
        InvalidInputError: no runtime of the device opens one of the files.
        RunError: the baseline is of another device or other conditions.
        DeviceError, MissingDependencyError: the device does not answer, or cannot load a model, which is named.
    """
    parts = _parts(suite, device)
    for part in parts:
        # All of them before the first is timed, which may take minutes.
        part.profiler.check()
    # Complete but for the figures, so that a baseline can be refused before anything is timed.
    head = _head(suite, parts, plan)
    if baseline is not None:
        require_comparable(baseline, head, path=baseline_path)
    figures: list[Metric] = []
    notes: dict[str, str] = {}
    for part in parts:
        # Each runtime has time in proportion to its number of workloads.
        share = plan.max_seconds * len(part.workloads) / len(suite.workloads)
        run = TimedRun(
            part.profiler,
            dataclasses.replace(plan, max_seconds=share),
            part.workloads,
            sentinel=part.reference,
            progress=_under(f"measuring on {device.name}, {part.profiler.device.runtime}", progress),
            seed=seed,
        )
        state = dict(part.profiler.state())
        run.time_all()
        figures += _figures(run, part.profiler)
        facts = run.notes(state)
        notes |= {"host": facts.get("host", "unknown")}
        notes |= {f"{part.profiler.device.runtime} {key}": facts[key] for key in ("rounds", "seconds", "others_load")}
        if run.remarks():
            notes[f"{part.profiler.device.runtime} time"] = "; ".join(run.remarks())
    # Parts were timed one runtime after the other; people expect the order of the suite.
    order = {workload.name: place for place, workload in enumerate(suite.workloads)}
    figures.sort(key=lambda figure: order[figure.name])
    return dataclasses.replace(head, figures=tuple(figures), notes=notes)


def _under(description: str, progress: ProgressCallback) -> ProgressCallback:
    """Return a callback that reports all work as `description`, so that each runtime has a progress bar of its own."""
    return lambda _, done, total: progress(description, done, total)


def _parts(suite: Suite, device: Device) -> list[_Part]:
    own = get_profiler(device.runtime, device)
    by_runtime: dict[str, list[Workload]] = {}
    profilers = {device.runtime: own}
    for workload in suite.workloads:
        runtime = _runtime_of(workload, own)
        if runtime not in profilers:
            profilers[runtime] = get_profiler(runtime, device)
        by_runtime.setdefault(runtime, []).append(workload)
    return [
        _Part(
            profiler=profilers[runtime],
            workloads=tuple(workloads),
            reference=reference_for(profilers[runtime], suite.reference),
        )
        for runtime, workloads in by_runtime.items()
    ]


def profiler_for(workload: Workload, device: Device) -> Profiler:
    """Return what times `workload` on `device`: the device's own runtime where that opens it, else the file's."""
    own = get_profiler(device.runtime, device)
    runtime = _runtime_of(workload, own)
    return own if runtime == device.runtime else get_profiler(runtime, dataclasses.replace(device, runtime=runtime))


def _runtime_of(workload: Workload, own: Profiler) -> str:
    """Return the runtime that times a workload: the device's own where that can."""
    if workload.file is None or workload.file.path.suffix in own.model_suffixes:
        return own.device.runtime
    # Only these transports are known to every runtime of `RUNTIMES`.
    if own.device.transport not in ("local", "ssh"):
        raise InvalidInputError(
            f"{workload.file.path}: {own.device.name} opens {' or '.join(own.model_suffixes) or 'no model files'} alone"
        )
    return RUNTIMES[workload.file.path.suffix]


def _head(suite: Suite, parts: Sequence[_Part], plan: MeasurementPlan) -> Benchmark:
    """Return the benchmark without figures."""
    conditions: list[RunConditions] = [part.profiler.conditions(plan) for part in parts]
    return Benchmark(
        name=suite.name,
        figures=(),
        conditions=tuple(conditions),
        references={its.runtime: digest_of(part.reference) for its, part in zip(conditions, parts, strict=True)},
        **this_machine(),
    )


def _figures(run: TimedRun, profiler: Profiler) -> list[Metric]:
    figures = []
    for group, workloads in enumerate(run.groups):
        rows, records = run.rows(group), run.records(group)
        ms = [record.samples()[0] for record in records]
        ratios = [record.ratios() for record in records]
        for index, (workload, row) in enumerate(zip(workloads, rows, strict=True)):
            times = ProcessTimes(ms=_medians(ms, index), ratios=_medians(ratios, index))
            figures.append(
                Metric(
                    name=workload.name,
                    title=workload.name,
                    value=row["median_ms"],
                    unit="ms",
                    smaller_is_better=True,
                    num=row["num_runs"],
                    runtime=profiler.device.runtime,
                    marks=row["marks"],
                    times=times,
                )
            )
    return figures


def _medians(by_process: Sequence[Sequence[FloatArray]], index: int) -> tuple[float, ...]:
    return tuple(float(np.median(samples[index])) for samples in by_process)
