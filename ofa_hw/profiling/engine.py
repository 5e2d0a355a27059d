"""Measuring blocks and whole networks on a device together, in interleaved rounds of several fresh processes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofa_hw.blocks import BlockSpec, block_macs, block_params
from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling.journal import Journal
from ofa_hw.profiling.load_order import open_in_random_order
from ofa_hw.profiling.measurement import (
    Measurement,
    MeasurementPlan,
    NetworkMeasurement,
    RunConditions,
    Workload,
)
from ofa_hw.profiling.output_check import check_outputs
from ofa_hw.profiling.protocol import Profiler
from ofa_hw.profiling.record import MIN_SAMPLES, Chunk, ProcessRecord
from ofa_hw.profiling.rounds import time_rounds, workloads_to_time
from ofa_hw.profiling.statistics import summarise
from ofa_hw.progress import ProgressCallback, no_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """All that a profile run measured; `notes` are facts about the run for a table's head."""

    blocks: tuple[Measurement, ...]
    networks: tuple[NetworkMeasurement, ...]
    notes: dict[str, str]
    remarks: tuple[str, ...] = ()

    def warnings(self) -> tuple[str, ...]:
        """Return what users should know about the run, one sentence each."""
        rows = [*self.blocks, *self.networks]
        texts = {
            "contended": f"other processes disturbed it ({self.notes['others_load']} busy with them, rounds "
            f"{self.notes['rounds']}); measure again on a quiet machine",
            "drift": f"the machine's speed changed while measuring (sentinel {self.notes['sentinel']})",
            "wide": "the interval is wider than was asked for; give more time",
            "launch-bound": "launching takes longer than computing",
        }
        counts = {word: sum(word in row.marks.split() for row in rows) for word in texts}
        marked = (f"{counts[word]} of {len(rows)} rows: {text}" for word, text in texts.items() if counts[word])
        return (*marked, *self.remarks)


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
    """Return the latencies of the blocks `specs` and the whole `networks`, all timed in the same interleaved rounds.

    Every output is first compared with torch's. `journal` is a file that keeps the rounds while running: with `resume`
    what it holds is not measured again. The caller removes it.

    Raises:
        InvalidInputError: there is nothing to measure, or two workloads have one name.
        DeviceError: the device fails, or computes something else than torch.
        RunError: the journal is of another measurement.
    """
    started = time.monotonic()
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
    run = TimedRun(profiler, plan, workloads, journal=kept, progress=progress, seed=seed)
    run.started = started
    run.time_all()
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
    """Return the latency of each block of `specs`, in that order; arguments and errors as in `measure`."""
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
    """Return the latency of each whole network, in that order; arguments and errors as in `measure`."""
    return measure(
        profiler, (), plan, networks=networks, journal=journal, resume=resume, progress=progress, seed=seed
    ).networks


class TimedRun:
    """Workloads in interleaved rounds of several fresh processes, with a sentinel in each round."""

    def __init__(
        self,
        profiler: Profiler,
        plan: MeasurementPlan,
        workloads: Sequence[Workload],
        *,
        sentinel: Workload | None = None,
        journal: Journal | None = None,
        progress: ProgressCallback = no_progress,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Plan the groups that are open at once; None for a `sentinel` chooses one of the workloads.

        The plan's time starts now, minus what the journal says was spent already; `clock` returns seconds.
        """
        self.clock, self.started = clock, clock()
        self.profiler, self.plan, self.progress, self.seed = profiler, plan, progress, seed
        self.journal = journal or Journal(None, tolerance=plan.tolerance)
        self.groups = _in_groups(workloads, profiler.capacity_bytes())
        self.sentinel = sentinel or _choose_sentinel(workloads)
        weights = [sum(map(_weight, group)) for group in self.groups]
        # The share of the whole run that one process of each group is, by estimated work.
        self.fractions = [weight / sum(weights) / plan.num_processes for weight in weights]
        self.num_units = len(workloads) * plan.num_processes
        self.done = 0.0
        self.spent_before = self.journal.spent_seconds
        self._least_seconds = [0.0] * len(self.groups)

    def time_all(self) -> None:
        """Time each group in each process."""
        for group in range(len(self.groups)):
            for process in range(self.plan.num_processes):
                self.time_process(group, process)
                self.done += self.fractions[group]
                self.tell(0.0)

    def time_process(self, group: int, process: int) -> None:
        """Time one group in one fresh process until it is precise or its share of the time that is left is used."""
        workloads = self.groups[group]
        record = self.journal.record(group, process, len(workloads))
        seconds = self._share_seconds(group, process)
        is_done = record.budget_seconds >= self.plan.max_seconds
        # A resumed process that ended within this budget, or is precise already, is not opened again.
        if is_done or not workloads_to_time(record, self.plan) or seconds <= 0 < len(record.rounds):
            return
        # The time of all processes to come is not enough to open one more: better fewer processes.
        if process > 0 and self._least_seconds[group] > seconds * (self.plan.num_processes - process):
            return
        begin = self.clock()
        check_seconds = 0.0

        def keep(chunk: Chunk) -> None:
            if not self._least_seconds[group]:
                # The least that another process needs: to open, to warm up, and three samples of each workload.
                opening = chunk.spent_seconds - chunk.seconds - check_seconds
                self._least_seconds[group] = opening + MIN_SAMPLES * chunk.seconds / len(chunk.rounds)
            self.journal.append(group, process, chunk)

        # A resumed process draws other orders than it did before it was killed.
        rng = np.random.default_rng([self.seed, group, process, len(record.rounds)])
        session = open_in_random_order(self.profiler, [*workloads, self.sentinel], self.plan, rng)
        try:
            # The last workload of a session is the sentinel.
            self.journal.mark(group, session.marks[:-1])
            if process == 0 and not record.rounds:
                opened = self.clock()
                check_outputs(session, workloads, self.plan, device=self.profiler.device.name)
                check_seconds = self.clock() - opened
            time_rounds(
                session,
                record,
                self.plan,
                begun=begin,
                deadline=begin + seconds,
                rng=rng,
                keep=keep,
                tell=lambda fraction: self.tell(fraction * self.fractions[group]),
                clock=self.clock,
            )
        finally:
            session.close()
        self.journal.finish(group, process, budget_seconds=self.plan.max_seconds)

    def spent_seconds(self) -> float:
        """Return the time that the run has taken so far, with what an interrupted one took."""
        return self.spent_before + self.clock() - self.started

    def _share_seconds(self, group: int, process: int) -> float:
        """Return this process's share of the time that is left, in proportion to the work of all processes to come."""
        num = self.plan.num_processes
        rest = (num - process) * self.fractions[group] + num * sum(self.fractions[group + 1 :])
        return (self.plan.max_seconds - self.spent_seconds()) * self.fractions[group] / rest

    def tell(self, of_process: float) -> None:
        """Report progress in workloads times processes; `of_process` is what the current process adds to `done`."""
        done = min(round((self.done + of_process) * self.num_units), self.num_units)
        self.progress(f"measuring on {self.profiler.device.name}", done, self.num_units)

    # -------------------------------------------------------------------------------------------- results

    def records(self, group: int) -> list[ProcessRecord]:
        """Return the record of each process of a group that has timed rounds; there may not be time for all."""
        num = len(self.groups[group])
        records = [self.journal.record(group, process, num) for process in range(self.plan.num_processes)]
        return [record for record in records if record.rounds]

    def finish(self, conditions: RunConditions, state: dict[str, str], *, num_blocks: int) -> MeasuredRun:
        """Return the rows, one for each workload, and the notes."""
        measured_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        common: dict[str, Any] = {"conditions": conditions, "method": self.method(), "measured_at": measured_at}
        blocks: list[Measurement] = []
        networks: list[NetworkMeasurement] = []
        for group, workloads in enumerate(self.groups):
            for workload, row in zip(workloads, self.rows(group), strict=True):
                # Workloads are in the order of `measure`: blocks first, then networks.
                if len(blocks) < num_blocks:
                    blocks.append(Measurement(block=workload.specs[0], **row, **common))
                else:
                    networks.append(NetworkMeasurement(name=workload.name, specs=workload.specs, **row, **common))
        return MeasuredRun(
            blocks=tuple(blocks), networks=tuple(networks), notes=self.notes(state), remarks=self.remarks()
        )

    def num_processes(self) -> int:
        """Return the number of processes that every row has at least."""
        return min(len(self.records(group)) for group in range(len(self.groups)))

    def remarks(self) -> tuple[str, ...]:
        """Return what the time was too short for, one sentence each."""
        num, spent, remarks = self.num_processes(), self.spent_seconds(), []
        if num < self.plan.num_processes:
            remarks.append(f"rows come from {num} of {self.plan.num_processes} processes; give more time")
        # A fifth over the budget is within what `max_seconds` promises.
        if spent > 1.2 * self.plan.max_seconds:
            remarks.append(
                f"it took {spent:.0f} s of {self.plan.max_seconds:g}: to open all and time each {MIN_SAMPLES} times "
                "takes as long; give more time, or less to measure"
            )
        return tuple(remarks)

    def rows(self, group: int) -> list[dict[str, Any]]:
        """Return the numbers and marks of each workload of a group."""
        records = self.records(group)
        samples = [record.samples() for record in records]
        warnings = _warnings(records, self.plan)
        rows = []
        for index, mark in enumerate(self.journal.marks(group, len(self.groups[group]))):
            summary = summarise([of_process[index] for of_process, _ in samples])
            words = {mark} | warnings if mark else set(warnings)
            if any(is_short[index] for _, is_short in samples):
                words.add("contended")
            if (summary.ci_high_ms - summary.ci_low_ms) / 2 > self.plan.target_relative_ci * summary.median_ms:
                words.add("wide")
            rows.append({**dataclasses.asdict(summary), "marks": " ".join(sorted(words))})
        return rows

    def method(self) -> str:
        """Return how every row was measured."""
        return (
            f"{self.profiler.method}; one untimed run before each; interleaved random rounds; "
            f"{self.num_processes()} fresh processes; medians"
        )

    def notes(self, before: dict[str, str]) -> dict[str, str]:
        """Return facts about the run for the head of a table; `before` is the machine's state at the beginning."""
        records = [record for group in range(len(self.groups)) for record in self.records(group)]
        counted = sum(int(record.counted().sum()) for record in records)
        total = sum(len(record.rounds) for record in records)
        after = dict(self.profiler.state())
        # Facts that may differ after the run are noted twice; the governor stands among the conditions.
        changing = {"clocks", "temperature", "load", "battery", "power", "memory_clock"}
        notes: dict[str, str] = {key: text for key, text in before.items() if key not in changing | {"governor"}}
        for key in sorted(changing & {*before, *after}):
            notes[f"{key}_before_and_after"] = f"{before.get(key, 'unknown')}, {after.get(key, 'unknown')}"
        notes["rounds"] = f"{counted} counted, {total - counted} repeated"
        notes["seconds"] = f"{sum(record.seconds for record in records):.1f}"
        notes["sentinel"] = f"{self.sentinel.name}, largest drift {max(abs(r.drift()) for r in records):.2%}"
        load = np.mean([record.others_load for record in records])
        notes["others_load"] = f"{load:.2f} of {max(record.num_cores for record in records)} cores"
        return notes


def _warnings(records: Sequence[ProcessRecord], plan: MeasurementPlan) -> set[str]:
    """Return the marks that apply to every row of a group."""
    words = set()
    if any(record.is_contended for record in records):
        words.add("contended")
    if any(abs(record.drift()) > plan.tolerance for record in records):
        words.add("drift")
    return words


def _weight(workload: Workload) -> float:
    """Return an estimate of a workload's time, good only to divide time and to choose a sentinel."""
    if workload.file:
        # Rough: ten multiply-accumulates a byte of the file.
        return 10.0 * _num_bytes(workload)
    # 2e5 stands for what a block costs whatever its size, such as the call of its runtime.
    return sum(block_macs(spec) + 2e5 for spec in workload.specs)


def _num_bytes(workload: Workload) -> int:
    """Return about how many bytes the weights of a workload take."""
    return workload.file.path.stat().st_size if workload.file else 4 * sum(map(block_params, workload.specs))


def _in_groups(workloads: Sequence[Workload], capacity_bytes: float) -> list[list[Workload]]:
    """Return the workloads in their order, in as few groups of similar size as the capacity allows."""
    sizes = np.array([_num_bytes(workload) for workload in workloads])
    num_groups = min(int(np.ceil(sizes.sum() / capacity_bytes)), len(workloads))
    before = np.cumsum(sizes) - sizes
    numbers = (before * num_groups / sizes.sum()).astype(int)
    return [
        [workload for workload, number in zip(workloads, numbers, strict=True) if number == group]
        for group in sorted(set(numbers.tolist()))
    ]


def _choose_sentinel(workloads: Sequence[Workload]) -> Workload:
    """Return the block of median size, or the smallest network where there is no block."""
    # A block of median size is long enough to time well and short enough to be timed three times a round.
    blocks = sorted((workload for workload in workloads if len(workload.specs) == 1), key=_weight)
    return blocks[len(blocks) // 2] if blocks else min(workloads, key=_weight)
