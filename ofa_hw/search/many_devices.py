"""Many devices in one search: the front of each, and the robust front for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ofa_hw.cost import Objective
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.search.find import DEFAULT_EVALUATIONS, find_front
from ofa_hw.search.named import NamedObjectives
from ofa_hw.search.nsga2 import Front, SearchPlan
from ofa_hw.search.objectives import Limit, SearchProblem
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.search.reachable import check_reachable
from ofa_hw.search.regret import CommonLatency, Regret, WorstRegret
from ofa_hw.space import ArchConfig, Genes

ROBUST = "robust"


def device_problems(named: NamedObjectives, limits: Sequence[Limit]) -> dict[str, SearchProblem]:
    """Return what to search for each device: top-1 against its latency, all limits kept but other devices' latency."""
    names = {latency.name for latency in named.latencies.values()}
    return {
        device: SearchProblem(
            space=named.space,
            objectives=(named["top1"], latency),
            limits=tuple(
                limit for limit in limits if limit.objective.name == latency.name or limit.objective.name not in names
            ),
        )
        for device, latency in named.latencies.items()
    }


def robust_problem(named: NamedObjectives, limits: Sequence[Limit], own_fronts: Mapping[str, Genes]) -> SearchProblem:
    """Return what to search for all devices, by the genes of each one's own front.

    Top-1 is traded off against the common latency, which is least where the worst regret is; every limit is kept.
    """
    regret = Regret(named["top1"], tuple((latency, own_fronts[name]) for name, latency in named.latencies.items()))
    objectives = (named["top1"], CommonLatency(regret=regret))
    return SearchProblem(space=named.space, objectives=objectives, limits=tuple(limits))


def shown_beside(problem: SearchProblem, named: NamedObjectives) -> tuple[Objective, ...]:
    """Return what a front of `problem` shows beside its objectives: each latency, the robust one its worst regret."""
    regrets = [entry.regret for entry in problem.objectives if isinstance(entry, CommonLatency)]
    return (*(WorstRegret(regret=regret) for regret in regrets), *named.latencies.values())


def search_devices(
    problems: Mapping[str, SearchProblem],
    *,
    robust: Callable[[Mapping[str, Genes]], SearchProblem] | None = None,
    num_evaluations: int = DEFAULT_EVALUATIONS,
    seed: int = 0,
    start: Iterable[ArchConfig] = (),
    journal: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> dict[str, Front]:
    """Return the front of each of `problems`, of one space, after `num_evaluations` networks for each.

    Given `robust`, which makes the problem of all devices of the genes of their fronts, its front comes first under the
    name ROBUST. It is searched last, and its values are by the fronts that are returned with it.

    Each search begins with `start` and with what the searches before it found, and in the end every front takes what
    any of them found. `journal` is as of `find_front`; each problem has its own, the name appended.

    Raises:
        InvalidInputError, RunError: as `search_front`.
    """
    plan, first = SearchPlan.of(num_evaluations), next(iter(problems.values()))
    every = {limit.objective.name: limit for problem in problems.values() for limit in problem.limits}
    together = dataclasses.replace(first, limits=tuple(every.values()))
    for problem in (*problems.values(), *([together] if robust else [])):
        check_reachable(problem)
    found: dict[str, Front] = {}
    known = first.space.encode(start)

    def search(name: str, problem: SearchProblem) -> None:
        nonlocal known
        path = None if journal is None else journal.with_name(f"{journal.stem}-{name}{journal.suffix}")
        found[name] = find_front(problem, plan, seed=seed, start=known, journal=path, progress=progress)
        known = np.unique(np.concatenate([known, found[name].genes]), axis=0)

    for name, problem in problems.items():
        search(name, problem)
    if robust:
        search(ROBUST, robust({name: front.genes for name, front in found.items()}))
    fronts = {name: _best_of(known, problem, found[name]) for name, problem in problems.items()}
    if not robust:
        return fronts
    last = robust({name: front.genes for name, front in fronts.items()})
    return {ROBUST: _best_of(known, last, found[ROBUST]), **fronts}


def _best_of(genes: Genes, problem: SearchProblem, front: Front) -> Front:
    """Return `front` with what is best of all `genes`."""
    costs, excess = problem.judge(genes)
    kept = np.flatnonzero(excess <= 0)
    kept = kept[is_non_dominated(costs[kept])]
    return dataclasses.replace(front, genes=genes[kept], values=costs[kept])
