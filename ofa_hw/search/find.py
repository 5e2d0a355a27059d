"""`search_front`: from a problem to its front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ofa_hw.cost import Macs, Objective, Params, PeakMemory, UncertainObjective
from ofa_hw.errors import RunError
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.search.front import FrontColumn, ParetoFront
from ofa_hw.search.nsga2 import Nsga2, SearchPlan, run_search
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
    on_progress: ProgressCallback = no_progress,
) -> ParetoFront:
    """Return the front that `num_evaluations` networks show; `start` are evaluated first, such as an earlier front's.

    Its columns are the objectives, then `shown`, then MACs and parameters.

    Raises:
        InvalidInputError: a limit cannot be kept, said before anything is searched; or an objective misbehaves.
        RunError: no network was found that keeps the limits.
    """
    check_reachable(problem)
    first = problem.space.encode(start)
    plan = SearchPlan.of(num_evaluations, population_size)
    search = Nsga2(problem.layout, plan, seed=seed, initial=first if len(first) else None)
    run_search(search, problem.judge, plan, on_progress=on_progress)
    if not len(search.front.genes):
        raise RunError(_nothing_found(problem, search))
    return describe_front(problem, search.front.genes, shown=shown, num_evaluations=search.num_evaluations)


def describe_front(
    problem: SearchProblem, genes: Genes, *, shown: Sequence[Objective] = (), num_evaluations: int
) -> ParetoFront:
    """Return the networks `genes` as a front, with every figure, sorted by the first objective that is minimised."""
    space = problem.space
    costs, _ = problem.judge(genes)
    column = next((index for index, told in enumerate(problem.objectives) if told.direction == "min"), 0)
    genes = genes[np.argsort(costs[:, column], kind="stable")]
    counted: tuple[Objective, ...] = (Macs(space=space), Params(space=space))
    told = {objective.name: objective for objective in (*counted, *shown, *problem.objectives)}
    wanted = dict.fromkeys(objective.name for objective in (*problem.objectives, *shown, *counted))
    return ParetoFront(
        space=space,
        archs=tuple(space.decode(genes)),
        columns=tuple(_column(told[name], genes) for name in wanted),
        num_evaluations=num_evaluations,
    )


def _column(objective: Objective, genes: Genes) -> FrontColumn:
    low = high = None
    if isinstance(objective, UncertainObjective) and objective.has_interval:
        low, high = objective.interval(genes, 0.9)
    return FrontColumn(
        name=objective.name,
        unit=objective.unit,
        source="counted" if isinstance(objective, Macs | Params | PeakMemory) else "predicted",
        values=np.asarray(objective.evaluate(genes), dtype=np.float64),
        low=low,
        high=high,
    )


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
