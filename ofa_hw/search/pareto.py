"""Dominance, ranks, crowding and hypervolume of objective values that are all minimised.

Dominance, ranks and hypervolume are computed by moocore, in C. Values are float64 (n, m), one row a solution, one
column an objective.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def dominates(a: Values, b: Values) -> bool:
    """Return whether the solution `a` (m,) is nowhere worse than `b` (m,) and somewhere better."""
    return bool((a <= b).all() and (a < b).any())


def is_non_dominated(values: Values) -> Mask:
    """Return (n,): True where no row dominates this one; of equal rows only the first."""
    import moocore

    mask: Mask = np.asarray(moocore.is_nondominated(values), dtype=bool)
    return mask


def pareto_ranks(values: Values) -> npt.NDArray[np.int64]:
    """Return the rank (n,) of each row: 0 for the front, 1 for the front of the rest, and so on (Deb 2002, III-A)."""
    import moocore

    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(values), dtype=np.int64)


def crowding_distances(values: Values, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how far each row's neighbours of the same rank lie apart, (n,); infinite at the ends (Deb 2002, III-B)."""
    distances = np.zeros(len(values))
    for column in values.T:
        # Sorted by rank and then by value, the neighbours of a row within its rank are the entries beside it.
        order = np.lexsort((column, ranks))
        ordered, rank = column[order], ranks[order]
        is_first = np.r_[True, rank[1:] != rank[:-1]]
        is_last = np.r_[is_first[1:], True]
        begins, ends = np.flatnonzero(is_first), np.flatnonzero(is_last)
        spans = np.repeat(ordered[ends] - ordered[begins], ends - begins + 1)
        gaps = np.full(len(values), np.inf)
        inner = ~(is_first | is_last)
        gaps[1:-1] = np.where(inner[1:-1], ordered[2:] - ordered[:-2], np.inf)
        # A rank whose values are all equal has a span of 0: its inner rows gain nothing, its ends stay infinite.
        distances[order] += np.divide(gaps, spans, out=np.where(inner, 0.0, gaps), where=inner & (spans > 0))
    return distances


def hypervolume(values: Values, reference: Values) -> float:
    """Return the volume that `values` dominate up to `reference` (m,); rows beyond the reference add nothing."""
    import moocore

    inside = values[(values < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0
