"""How far a front is from the best one: exact where both objectives are sums, else by trying every single change."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from ofa_hw.search.additive import AdditiveTerms, exact_front, find_terms
from ofa_hw.search.objectives import SearchProblem
from ofa_hw.search.operators import neighbours
from ofa_hw.search.pareto import Values, hypervolume, is_non_dominated
from ofa_hw.space import Genes

MAX_ROUNDS = 50
"""Rounds of the local proof, each of which tries the neighbours of what the round before added."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """What is known of how good a front is.

    `exact`: `genes` are the true front, and `gap` is the share of its hypervolume that the found front lacks.
    `local`: no change of a single gene improves the front `genes`, for which `num_scored` neighbours were evaluated;
    `gap` is the share of its hypervolume that such changes added. `is_complete` is False where the rounds ran out while
    the front still improved. The hypervolume's reference point is the worst value of each objective on both fronts.
    """

    kind: Literal["exact", "local"]
    genes: Genes
    gap: float
    num_scored: int
    is_complete: bool = True


def prove_front(problem: SearchProblem, genes: Genes) -> Proof:
    """Return the proof for the front `genes` (n, num_genes), which keep the limits of `problem`."""
    exact = _exact_front(problem)
    return _local_proof(problem, genes) if exact is None else _proof(problem, "exact", genes, exact, num_scored=0)


def _exact_front(problem: SearchProblem) -> Genes | None:
    """Return the true front; None unless there are two objectives, both sums, and limits are on these alone."""
    terms = [_terms(problem, column) for column in range(len(problem.objectives))] if _is_exact(problem) else []
    first, second = terms if len(terms) == 2 else (None, None)
    if first is None or second is None:
        return None
    genes = exact_front(first, second)
    return genes[problem.judge(genes)[1] <= 0]


def _is_exact(problem: SearchProblem) -> bool:
    """Return whether cutting the front by the limits gives the front under them: true if each limits an objective."""
    on_objectives = all(limit.objective in problem.objectives and limit.confidence is None for limit in problem.limits)
    return len(problem.objectives) == 2 and on_objectives


def _terms(problem: SearchProblem, column: int) -> AdditiveTerms | None:
    return find_terms(problem.space, lambda genes: problem.judge(genes)[0][:, column])


def _local_proof(problem: SearchProblem, genes: Genes) -> Proof:
    seen = {row.tobytes() for row in genes}
    front, fresh, num_scored = genes, genes, 0
    for _ in range(MAX_ROUNDS):
        around = np.unique(neighbours(problem.layout, fresh), axis=0)
        around = around[[row.tobytes() not in seen for row in around]]
        seen.update(row.tobytes() for row in around)
        num_scored += len(around)
        allowed = around[problem.judge(around)[1] <= 0] if len(around) else around
        both = np.concatenate([front, allowed])
        # Of equal values the first is kept, so a neighbour that only equals the front is not fresh.
        kept = np.flatnonzero(is_non_dominated(problem.judge(both)[0]))
        fresh, front = both[kept[kept >= len(front)]], both[kept]
        if not len(fresh):
            return _proof(problem, "local", genes, front, num_scored=num_scored)
    return dataclasses.replace(_proof(problem, "local", genes, front, num_scored=num_scored), is_complete=False)


def _proof(
    problem: SearchProblem, kind: Literal["exact", "local"], found: Genes, best: Genes, *, num_scored: int
) -> Proof:
    gap = hypervolume_gap(problem.judge(found)[0], problem.judge(best)[0])
    return Proof(kind=kind, genes=best, gap=gap, num_scored=num_scored)


def hypervolume_gap(found: Values, best: Values) -> float:
    """Return the share of the hypervolume of `best` that `found` lacks, up to the worst of each objective on both."""
    both = np.concatenate([found, best])
    reference = both.max(axis=0)
    # Just beyond the worst values: a point on the reference itself would dominate no volume.
    reference = reference + 1e-9 * np.maximum(np.ptp(both, axis=0), np.abs(reference))
    return max(0.0, 1 - hypervolume(found, reference) / hypervolume(best, reference))
