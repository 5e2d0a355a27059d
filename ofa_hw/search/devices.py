"""Many devices in one search: the front of each, and the robust front for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.search.find import DEFAULT_EVALUATIONS, find_front
from ofa_hw.search.named import NamedObjectives
from ofa_hw.search.nsga2 import Front, SearchPlan
from ofa_hw.search.objectives import Limit, SearchProblem
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.search.reachable import check_reachable
from ofa_hw.space import ArchConfig

ROBUST = "robust"


def device_problems(named: NamedObjectives, limits: Sequence[Limit]) -> dict[str, SearchProblem]:
    """Return what to search: top-1 against the worst relative latency, and against that of each device.

    The robust front keeps every limit, that of a device all but those of the latency on other devices.
    """
    top1 = named["top1"]
    names = {latency.name for latency in named.latencies.values()}
    problems = {
        device: SearchProblem(
            space=named.space,
            objectives=(top1, latency),
            limits=tuple(
                limit for limit in limits if limit.objective.name == latency.name or limit.objective.name not in names
            ),
        )
        for device, latency in named.latencies.items()
    }
    robust = SearchProblem(space=named.space, objectives=(top1, named["relative_latency"]), limits=tuple(limits))
    return {ROBUST: robust, **problems}


def search_devices(
    problems: Mapping[str, SearchProblem],
    *,
    num_evaluations: int = DEFAULT_EVALUATIONS,
    seed: int = 0,
    start: Iterable[ArchConfig] = (),
    journal: Path | None = None,
    on_progress: ProgressCallback = no_progress,
) -> dict[str, Front]:
    """Return the front of each of `problems`, of one space, after `num_evaluations` networks for each.

    Each search begins with `start` and with what the searches before it found, and in the end every front takes what
    any of them found. `journal` is as of `find_front`; each problem has its own, the name appended.
    """
    plan = SearchPlan.of(num_evaluations)
    space = next(iter(problems.values())).space
    for problem in problems.values():
        check_reachable(problem)
    found, known = {}, space.encode(start)
    for name, problem in problems.items():
        path = None if journal is None else journal.with_name(f"{journal.stem}-{name}{journal.suffix}")
        found[name] = find_front(problem, plan, seed=seed, start=known, journal=path, on_progress=on_progress)
        known = np.unique(np.concatenate([known, found[name].genes]), axis=0)
    fronts = {}
    for name, problem in problems.items():
        costs, excess = problem.judge(known)
        kept = np.flatnonzero(excess <= 0)
        kept = kept[is_non_dominated(costs[kept])]
        fronts[name] = dataclasses.replace(found[name], genes=known[kept], values=costs[kept])
    return fronts
