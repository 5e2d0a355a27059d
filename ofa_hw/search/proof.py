"""How far a front is from the best one: exactly where objectives are sums, else by every single change."""

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """What is known of how good a front is.

    `exact`: `genes` are the true front, and `gap` is the share of its hypervolume that the front that was found lacks.
    `local`: no single change of any of `genes` improves the front, which `num_scored` networks were scored to tell;
    `gap` is the share of its hypervolume that those changes brought. `is_complete` is False where the rounds ended
    before nothing improved. The hypervolume is that up to the worst value of each objective on both fronts.
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
    """Return the true front; None where there are not two objectives, or one of them or a limit is no such sum."""
    terms = [_terms(problem, column) for column in range(len(problem.objectives))] if _is_exact(problem) else []
    first, second = terms if len(terms) == 2 else (None, None)
    if first is None or second is None:
        return None
    genes = exact_front(first, second)
    return genes[problem.judge(genes)[1] <= 0]


def _is_exact(problem: SearchProblem) -> bool:
    """Return whether the front under the limits is the front without them, cut: each limits an objective itself."""
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
    reference = reference + 1e-9 * np.maximum(np.ptp(both, axis=0), np.abs(reference))
    return max(0.0, 1 - hypervolume(found, reference) / hypervolume(best, reference))
