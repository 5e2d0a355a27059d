"""The measuring loop of one process: interleaved random rounds, until every median is known well enough.

Workloads are timed in rounds, each in a new random order, so that what the machine does meanwhile affects all alike.
Before every timed sample the workload runs once untimed. A sentinel, timed three times a round, shows drift and
contention: a round in which it or the typical workload is slow is repeated. Samples during which the core was taken
away do not count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ofa_hw.profiling.measurement import MeasurementPlan
from ofa_hw.profiling.protocol import Session, Times
from ofa_hw.profiling.record import Chunk, ProcessRecord, Round

_MIN_SAMPLE_MS = 0.1
"""Shorter samples are batched: many executions with the clock around all of them."""
_SENTINEL_SAMPLE_MS = 0.3
"""Longer, since every other sample of its round is judged by it."""
_WARM_UP_SECONDS = 0.2
_CHUNK_SECONDS = 0.5
"""How much is timed between two checks of the precision; a killed run loses that much, or one round if it is longer."""

_MAX_REPEATS = 1000
"""Enough for models of 0.1 microseconds; nothing is faster."""


def time_rounds(
    session: Session,
    record: ProcessRecord,
    plan: MeasurementPlan,
    *,
    begun: float,
    deadline: float,
    rng: np.random.Generator,
    keep: Callable[[Chunk], None],
    tell: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Time the workloads of `session`, the last of which is the sentinel, until `record` has enough of each.

    This process has from `begun` to `deadline` on `clock`: no round begins that would end later, except while a
    workload has too few samples for a row. After every few rounds `keep` is called, which adds them to the record, and
    then `tell` with the fraction of the work that is done.
    """
    last = begun
    estimates, overhead_seconds = _warm_up(session, record.num_workloads + 1, clock)
    repeats = np.clip(np.ceil(_MIN_SAMPLE_MS / estimates), 1, _MAX_REPEATS).astype(int)
    repeats[-1] = np.clip(math.ceil(_SENTINEL_SAMPLE_MS / estimates[-1]), 1, _MAX_REPEATS)
    entry_seconds = overhead_seconds + estimates * (repeats + 1) / 1e3
    # How many times as long as estimated the last chunk took.
    pace = 1.0
    while active := workloads_to_time(record, plan):
        left = deadline - clock()
        round_seconds = pace * _seconds_of(active, entry_seconds)
        if left < round_seconds:
            active = record.missing()
            if not active:
                return
            round_seconds = pace * _seconds_of(active, entry_seconds)
        # As many rounds again as there are: a workload that became precise meanwhile has at most twice what it needs.
        wanted = max(_min_samples(plan) - len(record.rounds), len(record.rounds), 1)
        num_rounds = max(min(int(min(_CHUNK_SECONDS, left) / round_seconds), wanted), 1)
        orders = [_shuffled(active, record.num_workloads, rng) for _ in range(num_rounds)]
        order = [index for one in orders for index in one]
        begin = clock()
        times = session.time(order, [int(repeats[index]) for index in order])
        now = clock()
        # A busy machine takes longer than it did while warming up.
        pace = max((now - begin) / entry_seconds[order].sum(), 1e-3)
        keep(
            Chunk(
                rounds=tuple(_split(orders, times)),
                seconds=now - begin,
                others_load=times.others_load,
                num_cores=times.num_cores,
                spent_seconds=now - last,
            )
        )
        last = now
        num_precise = record.num_workloads - len(active)
        used = (now - begun) / (deadline - begun) if deadline > begun else 1.0
        tell(min(max(num_precise / record.num_workloads, used), 1.0))


def workloads_to_time(record: ProcessRecord, plan: MeasurementPlan) -> list[int]:
    """Return the workloads that still need samples; [] when it is enough."""
    return record.imprecise(min_samples=_min_samples(plan), target_relative_ci=plan.target_relative_ci)


def _seconds_of(active: list[int], entry_seconds: npt.NDArray[np.float64]) -> float:
    """Return the seconds that a round of the workloads `active` takes, with three samples of the sentinel."""
    return float(entry_seconds[active].sum() + 3 * entry_seconds[-1])


def _min_samples(plan: MeasurementPlan) -> int:
    return math.ceil(plan.min_runs / plan.num_processes)


def _warm_up(session: Session, num: int, clock: Callable[[], float]) -> tuple[npt.NDArray[np.float64], float]:
    """Return the least time of each workload in milliseconds (num,), after running for `_WARM_UP_SECONDS` or more.

    The second value is the overhead of each entry of an order, in seconds beyond its executions: little in a worker,
    much where each entry starts a process on a phone.
    """
    least, overhead = np.full(num, np.inf), np.inf
    end = clock() + _WARM_UP_SECONDS
    for _ in range(1000):
        begin = clock()
        ms = np.array(session.time(range(num), [1] * num).ms)
        # Twice, since each was executed once untimed before.
        overhead = min(overhead, (clock() - begin - 2 * float(ms.sum()) / 1e3) / num)
        least = np.minimum(least, ms)
        if clock() > end:
            break
    # A coarse clock may measure 0.
    return np.maximum(least, 1e-6), max(overhead, 0.0)


def _shuffled(active: list[int], sentinel: int, rng: np.random.Generator) -> list[int]:
    """Return `active` in random order with the sentinel at its beginning, middle and end."""
    order = [int(index) for index in rng.permutation(active)]
    middle = len(order) // 2
    return [sentinel, *order[:middle], sentinel, *order[middle:], sentinel]


def _split(orders: list[list[int]], times: Times) -> list[Round]:
    """Return the rounds of `orders`, which were timed in one go."""
    rounds, start = [], 0
    for order in orders:
        stop = start + len(order)
        rounds.append(Round(order=tuple(order), ms=times.ms[start:stop], is_disturbed=times.is_disturbed[start:stop]))
        start = stop
    return rounds
