"""The measuring loop: interleaved random rounds in fresh processes, until every median is known well enough.

Workloads are timed in rounds, each in a new random order, so that what the machine does meanwhile falls on all alike.
Before every timed sample the workload runs once untimed. A sentinel, timed three times a round, tells drift and
contention: a round in which it is slow is repeated. Samples during which the core was taken away do not count.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.blocks import BlockSpec, block_macs, block_params
from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.profiling.journal import Journal
from ofa_hw.profiling.measurement import (
    Measurement,
    MeasurementPlan,
    NetworkMeasurement,
    RunConditions,
    Workload,
    random_input,
)
from ofa_hw.profiling.protocol import Profiler, Session
from ofa_hw.profiling.record import ProcessRecord, Round
from ofa_hw.profiling.statistics import summarise
from ofa_hw.progress import ProgressCallback, no_progress

_log = logging.getLogger(__name__)

_MIN_SAMPLE_MS = 0.1
"""Shorter samples are batched: many executions with the clock around all of them."""
_SENTINEL_SAMPLE_MS = 0.3
_WARM_UP_SECONDS = 0.2
_CHUNK_SECONDS = 0.5
"""How much is timed between two looks at the precision, and lost at most when the run is killed."""
_GROUP_BYTES = 400e6
"""Weights that are held in one process at most; more workloads are timed in several groups."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """All that a profile run measured, and what it says of itself in `notes` (for a table's head)."""

    blocks: tuple[Measurement, ...]
    networks: tuple[NetworkMeasurement, ...]
    notes: dict[str, str]

    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know of the run, one sentence each."""
        rows = [*self.blocks, *self.networks]
        texts = {
            "contended": f"other processes disturbed it ({self.notes['others_load']} busy with them, rounds "
            f"{self.notes['rounds']}); measure again on a quiet machine",
            "drift": f"the machine's speed changed while measuring (sentinel {self.notes['sentinel']})",
            "wide": "the interval is wider than was asked for; give more time",
            "launch-bound": "launching takes longer than computing",
        }
        counts = {word: sum(word in row.marks.split() for row in rows) for word in texts}
        return tuple(f"{counts[word]} of {len(rows)} rows: {text}" for word, text in texts.items() if counts[word])


def measure(
    profiler: Profiler,
    specs: Sequence[BlockSpec],
    plan: MeasurementPlan | None = None,
    *,
    networks: Sequence[Workload] = (),
    journal: str | Path | None = None,
    resume: bool = False,
    progress: ProgressCallback = no_progress,
    seed: int = 0,
) -> MeasuredRun:
    """Return what the blocks `specs` and the whole `networks` take, all in the same interleaved rounds.

    Every output is first compared with torch's. `journal` is where rounds are kept while running: with `resume` what
    it holds is not measured again. It is left to the caller to remove.

    Raises:
        InvalidInputError: there is nothing to measure, or two workloads have one name.
        DeviceError: the device fails, or computes something else than torch.
        RunError: the journal is of another measurement.
    """
    plan = plan or MeasurementPlan()
    workloads = [*(Workload.of_block(spec) for spec in specs), *networks]
    names = [workload.name for workload in workloads]
    if not workloads or len(set(names)) != len(names):
        raise InvalidInputError(f"there must be workloads, each with a name of its own; came {len(workloads)}")
    profiler.check()
    kept = Journal(Path(journal) if journal else None, tolerance=plan.tolerance)
    conditions, state = kept.begin(
        names=names,
        plan=plan,
        conditions=profiler.conditions(plan),
        state=dict(profiler.state()),
        seed=seed,
        resume=resume,
    )
    groups = _in_groups(workloads)
    sentinel = _choose_sentinel(workloads)
    run = _Run(profiler, plan, kept, groups, sentinel, progress, seed)
    for group in range(len(groups)):
        for process in range(plan.num_processes):
            run.time_process(group, process)
    return run.finish(conditions, state, num_blocks=len(specs))


def measure_blocks(
    profiler: Profiler,
    specs: Sequence[BlockSpec],
    plan: MeasurementPlan | None = None,
    *,
    journal: str | Path | None = None,
    resume: bool = False,
    progress: ProgressCallback = no_progress,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Return what each block of `specs` takes, in that order; arguments and errors as `measure`'s."""
    return measure(profiler, specs, plan, journal=journal, resume=resume, progress=progress, seed=seed).blocks


def measure_networks(
    profiler: Profiler,
    networks: Sequence[Workload],
    plan: MeasurementPlan | None = None,
    *,
    journal: str | Path | None = None,
    resume: bool = False,
    progress: ProgressCallback = no_progress,
    seed: int = 0,
) -> tuple[NetworkMeasurement, ...]:
    """Return what each whole network takes, in that order; arguments and errors as `measure`'s."""
    return measure(
        profiler, (), plan, networks=networks, journal=journal, resume=resume, progress=progress, seed=seed
    ).networks


class _Run:
    """The state of one call of `measure`."""

    def __init__(
        self,
        profiler: Profiler,
        plan: MeasurementPlan,
        journal: Journal,
        groups: list[list[Workload]],
        sentinel: Workload,
        progress: ProgressCallback,
        seed: int,
    ) -> None:
        self.profiler, self.plan, self.journal = profiler, plan, journal
        self.groups, self.sentinel, self.progress, self.seed = groups, sentinel, progress, seed
        self.min_samples = math.ceil(plan.min_runs / plan.num_processes)
        self.marks: dict[int, tuple[str, ...]] = {}
        weights = [sum(_weight(workload) for workload in group) for group in groups]
        self.shares = [plan.max_seconds * weight / sum(weights) / plan.num_processes for weight in weights]
        self.num_units = sum(len(group) for group in groups) * plan.num_processes
        self.num_units_done = 0

    def time_process(self, group: int, process: int) -> None:
        """Time one group in one fresh process until it is precise or its share of the time is used."""
        workloads = self.groups[group]
        record = self.journal.record(group, process, len(workloads))
        is_new = not record.rounds
        if self.must_go_on(record, self.shares[group]):
            session = self.profiler.open([*workloads, self.sentinel], self.plan)
            try:
                self.marks[group] = session.marks[:-1]
                if process == 0 and is_new:
                    check_outputs(session, workloads, self.plan, device=self.profiler.device.name)
                self.time_rounds(session, group, process, record)
            finally:
                session.close()
        self.num_units_done += len(workloads)
        self.tell(0, 0)

    def must_go_on(self, record: ProcessRecord, share_seconds: float) -> list[int]:
        """Return the workloads that still need samples; [] when it is enough or the time is used."""
        imprecise = record.imprecise(
            min_samples=self.min_samples,
            target_relative_ci=self.plan.target_relative_ci,
        )
        if record.seconds < share_seconds:
            return imprecise
        # Beyond the budget only what has no worthwhile number of samples goes on, and that not for ever.
        unknown = record.imprecise(min_samples=0, target_relative_ci=math.inf)
        return unknown if record.seconds < 3 * share_seconds or not record.rounds else []

    def time_rounds(self, session: Session, group: int, process: int, record: ProcessRecord) -> None:
        estimates, overhead_seconds = _warm_up(session, record.num_workloads + 1)
        repeats = np.maximum(np.ceil(_MIN_SAMPLE_MS / estimates), 1).astype(int)
        repeats[-1] = max(math.ceil(_SENTINEL_SAMPLE_MS / estimates[-1]), 1)
        entry_seconds = overhead_seconds + estimates * (repeats + 1) / 1e3
        rng = np.random.default_rng([self.seed, group, process, len(record.rounds)])
        while active := self.must_go_on(record, self.shares[group]):
            seconds = entry_seconds[active].sum() + 3 * entry_seconds[-1]
            orders = [
                _shuffled(active, record.num_workloads, rng) for _ in range(max(int(_CHUNK_SECONDS / seconds), 1))
            ]
            order = [index for one in orders for index in one]
            begin = time.monotonic()
            times = session.time(order, [int(repeats[index]) for index in order])
            elapsed = time.monotonic() - begin
            rounds, start = [], 0
            for one in orders:
                stop = start + len(one)
                rounds.append(
                    Round(order=tuple(one), ms=times.ms[start:stop], is_disturbed=times.is_disturbed[start:stop])
                )
                start = stop
            self.journal.append(group, process, rounds, seconds=elapsed, others_load=times.others_load)
            precise = record.num_workloads - len(active)
            self.tell(
                max(precise, int(record.seconds / self.shares[group] * record.num_workloads)), record.num_workloads
            )

    def tell(self, num_done: int, num_of_process: int) -> None:
        done = self.num_units_done + min(num_done, num_of_process)
        self.progress(f"measuring on {self.profiler.device.name}", done, self.num_units)

    # -------------------------------------------------------------------------------------------- results

    def finish(self, conditions: RunConditions, state: dict[str, str], *, num_blocks: int) -> MeasuredRun:
        """Return the rows, one for each workload, and the notes."""
        measured_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        common = {"conditions": conditions, "method": self.method(), "measured_at": measured_at}
        blocks: list[Measurement] = []
        networks: list[NetworkMeasurement] = []
        for group, workloads in enumerate(self.groups):
            records = [
                self.journal.record(group, process, len(workloads)) for process in range(self.plan.num_processes)
            ]
            samples = [record.samples() for record in records]
            warnings = _warnings(records, self.plan)
            for index, workload in enumerate(workloads):
                summary = summarise([of_process[index] for of_process, _ in samples])
                marks = {word for word in (self.marks.get(group, ("",) * len(workloads))[index],) if word} | warnings
                if any(is_short[index] for _, is_short in samples):
                    marks.add("contended")
                if (summary.ci_high_ms - summary.ci_low_ms) / 2 > self.plan.target_relative_ci * summary.median_ms:
                    marks.add("wide")
                row = {**dataclasses.asdict(summary), **common, "marks": " ".join(sorted(marks))}
                if len(blocks) < num_blocks:
                    blocks.append(Measurement(block=workload.specs[0], **row))
                else:
                    networks.append(NetworkMeasurement(name=workload.name, specs=workload.specs, **row))
        notes = self.notes(state)
        return MeasuredRun(blocks=tuple(blocks), networks=tuple(networks), notes=notes)

    def method(self) -> str:
        return (
            f"{self.profiler.method}; one untimed run before each; interleaved random rounds; "
            f"{self.plan.num_processes} fresh processes; medians"
        )

    def notes(self, before: dict[str, str]) -> dict[str, str]:
        """Return what the head of a table tells of the run."""
        records = [
            self.journal.record(group, process, len(workloads))
            for group, workloads in enumerate(self.groups)
            for process in range(self.plan.num_processes)
        ]
        counted = sum(int(record.counted().sum()) for record in records)
        total = sum(len(record.rounds) for record in records)
        after = dict(self.profiler.state())
        notes: dict[str, str] = {key: before[key] for key in before if key in {"host", "system", "python"}}
        for key in ("clocks", "temperature", "load", "battery"):
            if key in before or key in after:
                notes[f"{key}_before_and_after"] = f"{before.get(key, 'unknown')}, {after.get(key, 'unknown')}"
        notes["rounds"] = f"{counted} counted, {total - counted} repeated"
        notes["seconds"] = f"{sum(record.seconds for record in records):.1f}"
        notes["sentinel"] = f"{self.sentinel.name}, largest drift {max(abs(r.drift()) for r in records):.2%}"
        notes["others_load"] = f"{np.mean([record.others_load for record in records]):.2f} cores"
        return notes


def check_outputs(session: Session, workloads: Sequence[Workload], plan: MeasurementPlan, *, device: str) -> None:
    """Return where every workload computes on the device what torch computes.

    Raises:
        DeviceError: naming the first workload that does not, with the largest difference.
    """
    from ofa_hw.nn.reference import run_blocks

    for index, workload in enumerate(workloads):
        x = random_input(workload.specs[0], batch_size=plan.batch_size)
        came = session.run(index, x)
        if came is not None:
            _check_output(came, run_blocks(workload.folded(), x), workload.name, plan.dtype, device)


_TOLERANCES = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 2e-1, "int8": 0.3}
"""The largest difference from torch in units of the output's spread; of int8 the root mean square of differences."""


def _check_output(
    came: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], name: str, dtype: str, device: str
) -> None:
    if came.shape != expected.shape:
        raise DeviceError(f"{device}: the output of {name} must be of shape {expected.shape}; came {came.shape}")
    differences = np.abs(came - expected) / max(float(expected.std()), 1e-6)
    difference = float(np.sqrt((differences**2).mean()) if dtype == "int8" else differences.max())
    if not difference <= _TOLERANCES[dtype]:
        raise DeviceError(
            f"{device}: the output of {name} must equal torch's within {_TOLERANCES[dtype]:g} of its spread; "
            f"it is {difference:.3g} away, so its latency would be of another block"
        )


def _warnings(records: Sequence[ProcessRecord], plan: MeasurementPlan) -> set[str]:
    """Return the words that warn of every row of a group."""
    words = set()
    num_cores = os.cpu_count() or 1
    if any(record.others_load > 0.2 + 0.1 * num_cores or record.disturbed_fraction > 0.1 for record in records):
        words.add("contended")
    if any(abs(record.drift()) > plan.tolerance for record in records):
        words.add("drift")
    return words


def _warm_up(session: Session, num: int) -> tuple[npt.NDArray[np.float64], float]:
    """Return the least time of each workload in milliseconds (num,), after `_WARM_UP_SECONDS` at least.

    The second value is what an entry of an order costs in seconds beyond its executions: little in a worker, much
    where each starts a process on a phone.
    """
    least, overhead = np.full(num, np.inf), np.inf
    end = time.monotonic() + _WARM_UP_SECONDS
    for _ in range(1000):
        begin = time.monotonic()
        ms = np.array(session.time(range(num), [1] * num).ms)
        overhead = min(overhead, (time.monotonic() - begin - 2 * float(ms.sum()) / 1e3) / num)
        least = np.minimum(least, ms)
        if time.monotonic() > end:
            break
    return np.maximum(least, 1e-6), max(overhead, 0.0)


def _shuffled(active: list[int], sentinel: int, rng: np.random.Generator) -> list[int]:
    """Return `active` in random order with the sentinel at its beginning, middle and end."""
    order = [int(index) for index in rng.permutation(active)]
    middle = len(order) // 2
    return [sentinel, *order[:middle], sentinel, *order[middle:], sentinel]


def _weight(workload: Workload) -> float:
    """Return about how long a workload takes, in units of no meaning."""
    return sum(block_macs(spec) + 2e5 for spec in workload.specs)


def _in_groups(workloads: Sequence[Workload]) -> list[list[Workload]]:
    """Return the workloads in groups, in order, none of which has weights of more than `_GROUP_BYTES`."""
    groups: list[list[Workload]] = [[]]
    size = 0.0
    for workload in workloads:
        num_bytes = 4 * sum(block_params(spec) for spec in workload.specs)
        if groups[-1] and size + num_bytes > _GROUP_BYTES:
            groups.append([])
            size = 0.0
        groups[-1].append(workload)
        size += num_bytes
    return groups


def _choose_sentinel(workloads: Sequence[Workload]) -> Workload:
    """Return the block of median size, or the smallest network where there is no block."""
    blocks = [workload for workload in workloads if len(workload.specs) == 1]
    ordered = sorted(blocks, key=_weight)
    chosen = ordered[len(ordered) // 2] if ordered else min(workloads, key=_weight)
    return dataclasses.replace(chosen, name=chosen.name)
