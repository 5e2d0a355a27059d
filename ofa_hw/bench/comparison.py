"""What changed from one benchmark to another, how certain that is, and whether it is too much."""

from __future__ import annotations

import dataclasses
import enum
import math
import warnings
from collections.abc import Sequence

import numpy as np

from ofa_hw.bench.benchmark import Benchmark
from ofa_hw.bench.metric import Metric
from ofa_hw.errors import InvalidInputError


class Verdict(enum.StrEnum):
    """The verdict on a change of a figure, from its interval."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "no change"
    UNCLEAR = "not enough evidence"
    NO_INTERVAL = "no interval"
    MISSING = "missing"
    NEW = "new"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A figure then and now; one that only one side has is None on the other.

    `ratio` is the time now divided by the time before, `low` and `high` the ends of its 95 % interval; None unless both
    sides have at least two timed processes.
    """

    before: Metric | None
    now: Metric | None
    verdict: Verdict
    ratio: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def figure(self) -> Metric:
        """The figure as it is now, or as it was where it is gone."""
        figure = self.now or self.before
        assert figure is not None
        return figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every figure of `before` and `now`; with a `threshold` of 0.05, slower means more than 5 % longer.

    With `is_absolute` milliseconds were compared, else multiples of the reference model.
    """

    before: Benchmark
    now: Benchmark
    changes: tuple[Change, ...]
    threshold: float
    is_absolute: bool

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The figures that are slower: the whole interval is beyond the threshold."""
        return self.of(Verdict.SLOWER)

    def of(self, verdict: Verdict) -> tuple[Change, ...]:
        """Return the changes of one verdict."""
        return tuple(change for change in self.changes if change.verdict is verdict)

    def remarks(self) -> list[str]:
        """Return what users should know about the two sides, one sentence each."""
        remarks = []
        earlier = {conditions.runtime: conditions for conditions in self.before.conditions}
        for conditions in self.now.conditions:
            known = earlier.get(conditions.runtime)
            if known and known.runtime_version != conditions.runtime_version:
                # The reference runs in the same runtime: a change that slows both equally leaves ratios as they were.
                blind = "" if self.is_absolute else "; what slows every model alike shows in milliseconds alone"
                remarks.append(
                    f"{conditions.runtime} was {known.runtime_version} and is {conditions.runtime_version}{blind}"
                )
        host = (self.before.notes.get("host"), self.now.notes.get("host"))
        if host[0] != host[1]:
            remarks.append(
                f"the machine was {host[0]} and is {host[1]}: models may differ on it as the reference does not"
            )
        return remarks


def compare(before: Benchmark, now: Benchmark, *, threshold: float = 0.05, is_absolute: bool = False) -> Comparison:
    """Return every figure of both sides with its change and a verdict.

    Raises:
        InvalidInputError: `threshold` is not above 0.
    """
    if not 0 < threshold < math.inf:
        raise InvalidInputError(f"the threshold must be above 0, such as 0.05 for 5 %; came {threshold}")
    earlier = {figure.name: figure for figure in before.figures}
    changes = [
        _change(earlier[figure.name], figure, threshold, is_absolute=is_absolute)
        if figure.name in earlier
        else Change(before=None, now=figure, verdict=Verdict.NEW)
        for figure in now.figures
    ]
    names = {figure.name for figure in now.figures}
    changes += [
        Change(before=figure, now=None, verdict=Verdict.MISSING)
        for figure in before.figures
        if figure.name not in names
    ]
    return Comparison(before=before, now=now, changes=tuple(changes), threshold=threshold, is_absolute=is_absolute)


def ratio_interval(before: Sequence[float], now: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio of two sides' geometric means, and the ends of its 95 % interval.

    Each value is what one process found, at least two on each side. Processes differ by more than the rounds within
    them (where memory lies, which core, who competes), so they are the sample: Welch's interval for the difference of
    the means of their logarithms (Welch, 1947).
    """
    from scipy.stats import ttest_ind

    logs = np.log(np.asarray(before, np.float64)), np.log(np.asarray(now, np.float64))
    difference = logs[1].mean() - logs[0].mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of equal times, whose interval has no width
        ends = ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(0.95)
    # Without any variance scipy gives NaN for an interval of width 0.
    low, high = np.where(np.isnan([ends.low, ends.high]), difference, [ends.low, ends.high])
    return math.exp(difference), math.exp(low), math.exp(high)


def _change(before: Metric, now: Metric, threshold: float, *, is_absolute: bool) -> Change:
    if before.times is None or now.times is None:
        return Change(before=before, now=now, verdict=Verdict.NO_INTERVAL)
    sides = [figure.ms if is_absolute else figure.ratios for figure in (before.times, now.times)]
    if min(map(len, sides)) < 2:
        return Change(before=before, now=now, verdict=Verdict.UNCLEAR)
    ratio, low, high = ratio_interval(*sides)
    return Change(before=before, now=now, ratio=ratio, low=low, high=high, verdict=_verdict(low, high, 1 + threshold))


def _verdict(low: float, high: float, limit: float) -> Verdict:
    if low > limit:
        return Verdict.SLOWER
    if high < 1 / limit:
        return Verdict.FASTER
    # Symmetric on a log scale: 1 / limit is as much faster as limit is slower.
    return Verdict.SAME if 1 / limit <= low and high <= limit else Verdict.UNCLEAR
