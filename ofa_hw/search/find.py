"""From a problem to its front: `find_front` gives genes, `search_front` networks with every figure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ofa_hw.cost import LutLatency, Macs, Objective, Params, UncertainObjective, source_of
from ofa_hw.errors import RunError
from ofa_hw.predictor.threads import on_one_thread
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.search.front import FrontColumn, FrontLimit, FrontTable, ParetoFront
from ofa_hw.search.judge_journal import JudgeJournal
from ofa_hw.search.nsga2 import Front, Nsga2, SearchPlan, run_search
from ofa_hw.search.objectives import SearchProblem, with_unit
from ofa_hw.search.reachable import check_reachable
from ofa_hw.space import ArchConfig, Genes

DEFAULT_EVALUATIONS = 20_000


def search_front(
    problem: SearchProblem,
    *,
    num_evaluations: int = DEFAULT_EVALUATIONS,
    population_size: int | None = None,
    seed: int = 0,
    start: Iterable[ArchConfig] = (),
    shown: Sequence[Objective] = (),
    journal: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> ParetoFront:
    """Return the front that `num_evaluations` networks show; `start` are evaluated first, such as an earlier front's.

    Its columns are the objectives, then what is limited, `shown`, MACs and parameters. `journal` is as of `find_front`.

    Raises:
        InvalidInputError: a limit cannot be kept, said before anything is searched; or an objective misbehaves.
        RunError: no network was found that keeps the limits, or the journal is of another search.
    """
    check_reachable(problem)
    plan = SearchPlan.of(num_evaluations, population_size)
    found = find_front(problem, plan, seed=seed, start=problem.space.encode(start), journal=journal, progress=progress)
    return describe_front(problem, found.genes, shown=shown, num_evaluations=found.num_evaluations)


@on_one_thread()
def find_front(
    problem: SearchProblem,
    plan: SearchPlan,
    *,
    seed: int = 0,
    start: Genes | None = None,
    journal: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> Front:
    """Return genes and values of the front by `plan`, limits that can be kept provided; errors are of `search_front`.

    Where `journal` is given, what networks are worth is kept there from second to second; the same call, made again
    after it was killed, goes on from there and ends with the same front. The caller removes the file.
    """
    first = start if start is not None and len(start) else None
    search = Nsga2(problem.layout, plan, seed=seed, initial=first)
    judge = (
        JudgeJournal(problem.judge, journal, fingerprint=_fingerprint(problem, plan, seed, first)) if journal else None
    )
    try:
        run_search(search, judge or problem.judge, plan, progress=progress)
    finally:
        if judge is not None:
            judge.flush()
    if not len(search.front.genes):
        raise RunError(_nothing_found(problem, search))
    return search.front


def describe_front(
    problem: SearchProblem, genes: Genes, *, shown: Sequence[Objective] = (), num_evaluations: int
) -> ParetoFront:
    """Return the networks `genes` as a front, with every figure, sorted by the first objective that is minimised."""
    space = problem.space
    costs, _ = problem.judge(genes)
    column = next((index for index, objective in enumerate(problem.objectives) if objective.direction == "min"), 0)
    genes = genes[np.argsort(costs[:, column], kind="stable")]
    limited = (limit.objective for limit in problem.limits)
    by_name = {objective.name: objective for objective in (*limited, *shown, Macs(space=space), Params(space=space))}
    names = {objective.name for objective in problem.objectives}
    others = [objective for name, objective in by_name.items() if name not in names]
    return ParetoFront(
        space=space,
        archs=tuple(space.decode(genes)),
        objectives=tuple(_column(objective, genes) for objective in problem.objectives),
        others=tuple(_column(objective, genes) for objective in others),
        limits=tuple(
            FrontLimit(name=limit.objective.name, bound=limit.bound, confidence=limit.confidence)
            for limit in problem.limits
        ),
        tables=tuple(
            FrontTable(name=latency.name, device=latency.table.device, file=_file_of(latency))
            for latency in (*problem.objectives, *others)
            if isinstance(latency, LutLatency)
        ),
        num_evaluations=num_evaluations,
    )


def _fingerprint(problem: SearchProblem, plan: SearchPlan, seed: int, start: Genes | None) -> str:
    """Return the hash of what a search depends on; tables and predictors are told by what they say of 64 networks."""
    probes = problem.space.sample_genes(64, np.random.default_rng(0))
    costs, excess = problem.judge(probes)
    facts = (
        [(objective.name, objective.direction) for objective in problem.objectives],
        [(limit.objective.name, limit.bound, limit.confidence) for limit in problem.limits],
        plan,
        seed,
        b"" if start is None else start.tobytes(),
        costs.tobytes(),
        excess.tobytes(),
    )
    return hashlib.sha256(f"({problem.space.spelled_out}, {repr(facts)[1:]}".encode()).hexdigest()


def _column(objective: Objective, genes: Genes) -> FrontColumn:
    low = high = None
    if isinstance(objective, UncertainObjective) and objective.has_interval:
        low, high = (tuple(map(float, ends)) for ends in objective.interval(genes, 0.9))
    return FrontColumn(
        name=objective.name,
        unit=objective.unit,
        direction=objective.direction,
        source=source_of(objective),
        values=tuple(map(float, objective.evaluate(genes))),
        low=low,
        high=high,
    )


def _file_of(latency: LutLatency) -> str | None:
    return None if latency.table.origin is None else str(latency.table.origin)


def _nothing_found(problem: SearchProblem, search: Nsga2) -> str:
    nearest = search.nearest[None]
    values = [
        f"{limit.objective.name} {with_unit(limit.objective, float(limit.cautious(nearest)[0]))}"
        for limit in problem.limits
    ]
    limits = " and ".join(limit.told() for limit in problem.limits)
    return (
        f"none of {search.num_evaluations:,} networks keeps {limits}; the nearest has {' and '.join(values)}: "
        "give more room"
    )
