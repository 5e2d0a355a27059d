"""What a search is about: objectives by name, limits on them, and networks judged by both."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.cost import Direction, Objective, Source, UncertainObjective
from ofa_hw.errors import InvalidInputError
from ofa_hw.lut import LatencyTable
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.layout import GeneLayout
from ofa_hw.space import Genes, SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Top1:
    """The top-1 fraction that `predictor` expects of networks of `space`, which may offer fewer resolutions.

    Raises:
        InvalidInputError: the predictor is of another space, or has seen no network at one of the resolutions.
    """

    space: SearchSpace
    predictor: AccuracyPredictor
    name: str = "top1"
    unit: str = ""
    direction: Direction = "max"
    source: Source = "predicted"

    def __post_init__(self) -> None:
        own = self.predictor.space
        if dataclasses.replace(self.space, resolutions=own.resolutions) != own:
            raise InvalidInputError(
                f"the predictor must be of the space {self.space.name!r} that is searched; it was fitted to "
                f"{own.name!r}: fit one with `ofa-hw fit`, or give another --predictor"
            )
        unseen = sorted(set(self.space.resolutions) - set(self.predictor.seen_resolutions))
        if unseen:
            raise InvalidInputError(
                f"the predictor has seen networks at {_listed(self.predictor.seen_resolutions)} px only, not at "
                f"{_listed(unseen)}; evaluate some with `ofa-hw sample`, or narrow the search by --resolutions"
            )

    @functools.cached_property
    def _resolution_index(self) -> npt.NDArray[np.int8]:
        own = self.predictor.space.resolutions
        return np.array([own.index(resolution) for resolution in self.space.resolutions], dtype=np.int8)

    def _its_genes(self, genes: Genes) -> Genes:
        genes = genes.copy()
        genes[:, 0] = self._resolution_index[genes[:, 0]]
        return genes

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return predicted top-1 fractions (n,)."""
        return self.predictor.predict_top1(self._its_genes(genes))

    @property
    def has_interval(self) -> bool:
        """Whether `interval` answers: it does."""
        return True

    def interval(self, genes: Genes, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the intervals that hold the measured top-1."""
        return self.predictor.interval(self._its_genes(genes), coverage)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """A bound that every network must keep: at most `bound` where less is better, at least where more is.

    With `confidence` the true value must keep the bound with that probability, by the objective's interval.

    Raises:
        InvalidInputError: the bound is not finite, or the confidence not in [0.5, 1) or not known to the objective.
    """

    objective: Objective
    bound: float
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.bound):
            raise InvalidInputError(f"the limit of {self.objective.name} must be finite; came {self.bound}")
        if self.confidence is None:
            return
        if not 0.5 <= self.confidence < 1:
            raise InvalidInputError(f"confidence must be from 0.5 to below 1; came {self.confidence}")
        if not isinstance(self.objective, UncertainObjective):
            raise InvalidInputError(f"{self.objective.name} is exact: it can be limited, but not with a confidence")

    @property
    def is_ceiling(self) -> bool:
        """Whether values must be at most the bound."""
        return self.objective.direction == "min"

    def cautious(self, genes: Genes) -> FloatArray:
        """Return what is compared with the bound (n,): the value, or its one-sided bound at the confidence."""
        if self.confidence is None or self.confidence == 0.5:
            return self.objective.evaluate(genes)
        assert isinstance(self.objective, UncertainObjective)
        # Half of what lies outside a central interval lies above it.
        low, high = self.objective.interval(genes, 2 * self.confidence - 1)
        return high if self.is_ceiling else low

    def excess(self, genes: Genes) -> FloatArray:
        """Return how far (n,) each network breaks the limit, relative to the bound; 0 where it keeps it."""
        return self.excess_of(self.cautious(genes))

    def excess_of(self, value: FloatArray) -> FloatArray:
        """Return `excess` of values (n,) that `cautious` gave."""
        over = value - self.bound if self.is_ceiling else self.bound - value
        return np.maximum(over, 0.0) / max(abs(self.bound), 1e-12)

    def told(self) -> str:
        """Return the limit in words."""
        relation = "at most" if self.is_ceiling else "at least"
        words = f"{self.objective.name} {relation} {with_unit(self.objective, self.bound)}"
        return words if self.confidence is None else f"{words} with confidence {self.confidence:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchProblem:
    """The networks of `space`, what is traded off, and what must be kept.

    Raises:
        InvalidInputError: there is no objective, or two have the same name.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names:
            raise InvalidInputError("a search needs one objective or more; came none")
        if len(set(names)) != len(names):
            raise InvalidInputError(f"objectives must have different names; came {', '.join(names)}")

    @functools.cached_property
    def layout(self) -> GeneLayout:
        """The layout of the genes."""
        return GeneLayout.of_space(self.space)

    def judge(self, genes: Genes) -> tuple[FloatArray, FloatArray]:
        """Return the objectives as columns (n, m), all minimised, and how far (n,) the limits are broken in all.

        Raises:
            InvalidInputError: an objective returns another shape, or values that are not finite.
        """
        values = {id(objective): self._checked(objective, genes) for objective in self.objectives}
        columns = [
            values[id(objective)] if objective.direction == "min" else -values[id(objective)]
            for objective in self.objectives
        ]
        excess = np.zeros(len(genes))
        for limit in self.limits:
            known = values.get(id(limit.objective)) if limit.confidence is None else None
            excess += limit.excess_of(limit.cautious(genes) if known is None else known)
        return np.stack(columns, axis=1), excess

    @staticmethod
    def _checked(objective: Objective, genes: Genes) -> FloatArray:
        values = np.asarray(objective.evaluate(genes), dtype=np.float64)
        if values.shape != (len(genes),):
            raise InvalidInputError(
                f"objective {objective.name} must return ({len(genes)},) values; came {values.shape}"
            )
        if not np.isfinite(values).all():
            raise InvalidInputError(f"objective {objective.name} must return finite values; came {values.min()}")
        return values


def narrow_space(
    space: SearchSpace, predictor: AccuracyPredictor | None, tables: Sequence[LatencyTable]
) -> SearchSpace:
    """Return `space` with the resolutions that the predictor has seen and every table was measured at.

    Raises:
        InvalidInputError: there is none; the message lists what each knows.
    """
    known = {str(table.title): table.resolutions for table in tables}
    if predictor is not None:
        known["the predictor"] = predictor.seen_resolutions
    shared = tuple(size for size in space.resolutions if all(size in sizes for sizes in known.values()))
    if not shared:
        text = "; ".join(f"{name} knows {_listed(sizes)} px" for name, sizes in known.items())
        raise InvalidInputError(
            f"predictor and tables must share a resolution of {space.name!r} ({_listed(space.resolutions)} px); {text}"
        )
    return space if shared == space.resolutions else dataclasses.replace(space, resolutions=shared)


def with_unit(objective: Objective, value: float) -> str:
    """Return `value` rounded for a person, with its unit: of latencies below a millisecond microseconds."""
    if objective.unit == "ms" and 0 < abs(value) < 1:
        return f"{1000 * value:.4g} µs"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{text} {objective.unit}".rstrip()


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
