"""NSGA-II (Deb 2002) for discrete genes: ask for rows, tell their values, take the front.

It differs from the textbook in ways that save evaluations. No row is evaluated twice. Mutation changes few genes. More
children are made than will be evaluated, and a linear surrogate, fitted to the evaluations so far, picks among them.
The front is that of all evaluations, not of the last population.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.search.layout import GeneLayout, GeneMatrix
from ofa_hw.search.operators import spread_rows, vary
from ofa_hw.search.pareto import Values, crowding_distances, is_non_dominated, pareto_ranks
from ofa_hw.search.surrogate import LinearSurrogate

Evaluate = Callable[[GeneMatrix], npt.ArrayLike]

POOL_FACTOR, MIN_POOL = 3, 200
"""How many children are made for each one that is evaluated, and the least number made at a time."""
GROWTH = 1.15
"""The surrogate is fitted again when the evaluations have grown by this factor."""
MAX_TRIES = 20
"""How often new rows are drawn before it is accepted that there are hardly any left."""
MAX_SURROGATE_FEATURES = 2000
"""Spaces with more choices in all are searched without a surrogate: its fit inverts a matrix of this size."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """The best trade-offs: `genes` (n, num_genes) and `values` (n, m), all minimised, sorted by the first objective."""

    genes: GeneMatrix
    values: Values
    num_evaluations: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """How many rows are evaluated in all, at first and in each generation, and how many are kept as parents."""

    num_evaluations: int
    population_size: int
    num_first: int
    num_children: int

    @classmethod
    def of(cls, num_evaluations: int, population_size: int | None = None) -> SearchPlan:
        """Return the plan of `num_evaluations`; `population_size` is by default a tenth of them, from 20 to 200.

        Raises:
            InvalidInputError: `num_evaluations` is below 1, or `population_size` below 2.
        """
        if num_evaluations < 1:
            raise InvalidInputError(f"num_evaluations must be 1 or more; came {num_evaluations}")
        size = population_size if population_size is not None else min(max(num_evaluations // 10, 20), 200)
        if size < 2:
            raise InvalidInputError(f"population_size must be 2 or more; came {size}")
        return cls(
            num_evaluations=num_evaluations,
            population_size=size,
            num_first=min(max(num_evaluations // 20, 20), size),
            num_children=min(max(num_evaluations // 100, 10), size),
        )


class Nsga2:
    """The search as ask and tell: `ask` gives rows that were never asked before, `tell` takes their values."""

    def __init__(
        self, layout: GeneLayout, plan: SearchPlan, *, seed: int = 0, initial: GeneMatrix | None = None
    ) -> None:
        self._layout = layout
        self._population_size = plan.population_size
        self._rng = np.random.default_rng(seed)
        self._asked: set[bytes] = set()
        first = spread_rows(layout, plan.num_first, self._rng)
        self._pending = first if initial is None else np.concatenate([layout.canonical(initial), first])
        self._genes = np.empty((0, layout.num_genes), dtype=layout.dtype)
        self._values = np.empty((0, 0))
        self._violations = np.empty(0)
        # Population and front hold indices into the three arrays above.
        self._population = np.empty(0, dtype=np.int64)
        self._ranks = np.empty(0, dtype=np.int64)
        self._crowding = np.empty(0)
        self._front = np.empty(0, dtype=np.int64)
        self._surrogate = LinearSurrogate(layout) if sum(layout.num_choices) <= MAX_SURROGATE_FEATURES else None
        self._num_fitted = 0
        # All rows in random order, once so few are left that drawing at random would mostly repeat.
        self._unasked: GeneMatrix | None = None

    @property
    def num_evaluations(self) -> int:
        """The number of rows whose values are known."""
        return len(self._genes)

    @property
    def num_pending(self) -> int:
        """The number of rows that are asked before any child is made."""
        return len(self._pending)

    def ask(self, num: int) -> GeneMatrix:
        """Return up to `num` canonical rows that were not asked before; none once the space is exhausted."""
        first, self._pending = self._unseen(self._pending, num)
        brood = self._breed(num) if len(self._population) and not len(first) else first
        if len(brood) < num:
            brood = np.concatenate([brood, self._fill(num - len(brood), brood)])
        self._asked.update(_keys(brood))
        return brood

    def tell(self, genes: GeneMatrix, values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> None:
        """Take the `values` (n, m), all minimised, of rows that `ask` gave.

        `violations` (n,) are 0 or less where a row keeps all constraints, else above 0 and larger the further off it
        is. A row that keeps them dominates every row that does not.

        Raises:
            InvalidInputError: the shape is wrong, or a value is not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or len(values) != len(genes) or not values.shape[1]:
            raise InvalidInputError(f"values must be ({len(genes)}, objectives); came {values.shape}")
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise InvalidInputError(
                f"values must be finite; came {values[row].tolist()} for genes {genes[row].tolist()}"
            )
        violated = np.zeros(len(values)) if violations is None else np.asarray(violations, dtype=np.float64)
        new_rows = np.arange(len(self._genes), len(self._genes) + len(genes))
        self._genes = np.concatenate([self._genes, genes])
        # The number of objectives is known only now; the reshape gives the empty start its width.
        self._values = np.concatenate([self._values.reshape(-1, values.shape[1]), values])
        self._violations = np.concatenate([self._violations, violated])
        feasible = new_rows[violated <= 0]
        self._front = np.concatenate([self._front, feasible])
        self._front = self._front[is_non_dominated(self._values[self._front])]
        self._select(np.concatenate([self._population, new_rows]))

    @property
    def front(self) -> Front:
        """The best trade-offs of all rows evaluated so far that keep the constraints."""
        # lexsort takes its last key first, so the objectives are reversed.
        order = self._front[np.lexsort(self._values[self._front].T[::-1])]
        return Front(genes=self._genes[order], values=self._values[order], num_evaluations=self.num_evaluations)

    @property
    def nearest(self) -> GeneMatrix:
        """The evaluated row (num_genes,) that breaks the constraints least."""
        row: GeneMatrix = self._genes[int(self._violations.argmin())]
        return row

    # ------------------------------------------------------------------------------------------------ selection

    def _select(self, candidates: npt.NDArray[np.int64]) -> None:
        """Keep the best of `candidates` as the population: by rank, then by crowding."""
        ranks = _constrained_ranks(self._values[candidates], self._violations[candidates])
        crowding = crowding_distances(self._values[candidates], ranks)
        kept = np.lexsort((-crowding, ranks))[: self._population_size]
        self._population, self._ranks, self._crowding = candidates[kept], ranks[kept], crowding[kept]

    def _tournament(self, num: int) -> GeneMatrix:
        """Return the winners of `num` duels; the population is sorted, so the smaller index wins."""
        duels = self._rng.integers(0, len(self._population), size=(2, num))
        winners: GeneMatrix = self._genes[self._population[duels.min(axis=0)]]
        return winners

    # ------------------------------------------------------------------------------------------------- children

    def _breed(self, num: int) -> GeneMatrix:
        """Return up to `num` new children: the best of a larger pool by the surrogate's guess."""
        num_wanted = max(POOL_FACTOR * num, MIN_POOL) if self._surrogate else num
        pool = self._genes[:0]
        for _ in range(MAX_TRIES):
            num_missing = num_wanted - len(pool)
            children = vary(self._layout, self._tournament(num_missing), self._tournament(num_missing), self._rng)
            pool, _ = self._unseen(np.concatenate([pool, children]), num_wanted)
            if len(pool) >= num:
                break
        if self._surrogate is None or len(pool) <= num:
            return pool[:num]
        brood: GeneMatrix = pool[self._preference(self._surrogate, pool)[:num]]
        return brood

    def _preference(self, surrogate: LinearSurrogate, pool: GeneMatrix) -> npt.NDArray[np.int64]:
        """Return the indices of `pool`, best first, by the ranks of their guesses among the population's values."""
        population = self._population
        if self.num_evaluations >= GROWTH * self._num_fitted:
            # Violations are one more target, so that children which are likely to keep the constraints come first.
            surrogate.fit(self._genes, np.concatenate([self._values, self._violations[:, None]], axis=1))
            self._num_fitted = self.num_evaluations
        guesses = surrogate.guess(pool, self._rng)
        values = np.concatenate([guesses[:, :-1], self._values[population]])
        violations = np.concatenate([guesses[:, -1], self._violations[population]])
        ranks = _constrained_ranks(values, violations)
        crowding = crowding_distances(values, ranks)
        order: npt.NDArray[np.int64] = np.lexsort((-crowding[: len(pool)], ranks[: len(pool)]))
        return order

    def _fill(self, num: int, brood: GeneMatrix) -> GeneMatrix:
        """Return up to `num` rows at random that are neither asked nor in `brood`."""
        taken = set(_keys(brood))
        # Every second draw would be a repeat by now: list all rows once instead.
        if self._unasked is None and self._layout.num_rows <= 2 * (len(self._asked) + num):
            self._unasked = self._rng.permutation(self._layout.all_rows())
        if self._unasked is not None:
            rows, self._unasked = self._unseen(self._unasked, num, taken)
            return rows
        found = brood[:0]
        for _ in range(MAX_TRIES):
            if len(found) >= num:
                break
            found, _ = self._unseen(np.concatenate([found, self._layout.sample(2 * num, self._rng)]), num, taken)
        return found

    def _unseen(
        self, rows: GeneMatrix, num: int, taken: set[bytes] | frozenset[bytes] = frozenset()
    ) -> tuple[GeneMatrix, GeneMatrix]:
        """Return the first `num` different rows that were not asked, and the rest of `rows` behind them."""
        keys, asked = _keys(rows), self._asked
        fresh = [index for index, key in enumerate(keys) if key not in asked and key not in taken]
        # Of equal rows the first counts: in reversed order it is written last.
        firsts = sorted({keys[index]: index for index in reversed(fresh)}.values())
        end = firsts[num] if len(firsts) > num else len(rows)
        return rows[firsts[:num]], rows[end:]


def _keys(genes: GeneMatrix) -> list[bytes]:
    """Return each row as bytes, equal only for equal rows."""
    rows = np.ascontiguousarray(genes)
    # A row as one opaque value: NumPy then hands out bytes without a Python loop over rows.
    keys: list[bytes] = rows.view(np.dtype((np.void, max(rows.strides[0], 1)))).ravel().tolist()
    return keys


def _constrained_ranks(values: Values, violations: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return ranks (n,): Pareto ranks where constraints are kept, then the others by their violation (Deb 2002, VI)."""
    is_feasible = violations <= 0
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[is_feasible] = pareto_ranks(values[is_feasible])
    num_ranks = int(ranks[is_feasible].max()) + 1 if is_feasible.any() else 0
    # argsort twice gives the rank of each entry.
    ranks[~is_feasible] = num_ranks + np.argsort(np.argsort(violations[~is_feasible], kind="stable"), kind="stable")
    return ranks


Judge = Callable[[GeneMatrix], tuple[npt.ArrayLike, npt.ArrayLike | None]]
"""From genes (n, num_genes) to values (n, m) and violations (n,), as `Nsga2.tell` takes them."""


def run_search(
    search: Nsga2,
    judge: Judge,
    plan: SearchPlan,
    *,
    after_generation: Callable[[Nsga2], None] | None = None,
    progress: ProgressCallback = no_progress,
) -> Front:
    """Return the front of `search` when it has made the evaluations of `plan`, or when the space is exhausted."""
    while search.num_evaluations < plan.num_evaluations:
        num = max(search.num_pending, plan.num_children)
        genes = search.ask(min(num, plan.num_evaluations - search.num_evaluations))
        if not len(genes):
            break
        search.tell(genes, *judge(genes))
        if after_generation is not None:
            after_generation(search)
        progress("search", search.num_evaluations, plan.num_evaluations)
    return search.front


def nsga2(
    num_choices: Sequence[int] | GeneLayout,
    evaluate: Evaluate,
    *,
    population_size: int | None = None,
    num_evaluations: int = 20_000,
    seed: int = 0,
    initial: GeneMatrix | None = None,
    progress: ProgressCallback = no_progress,
) -> Front:
    """Return the front of a discrete space after at most `num_evaluations` rows.

    `num_choices` holds the number of choices of each gene (or is a `GeneLayout`); `evaluate` takes genes
    (n, num_genes), each row once, and returns values (n, m), all minimised. `initial` rows are evaluated first. Where
    the space has no more rows than may be evaluated, all are, and the front is exact.

    Raises:
        InvalidInputError: the numbers are too small, or `evaluate` returns another shape or values that are not finite.
    """
    layout = num_choices if isinstance(num_choices, GeneLayout) else GeneLayout.free(num_choices)
    plan = SearchPlan.of(num_evaluations, population_size)
    search = Nsga2(layout, plan, seed=seed, initial=initial)
    return run_search(search, lambda genes: (evaluate(genes), None), plan, progress=progress)
