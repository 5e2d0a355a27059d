"""Medians and their intervals, without assumptions about the noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Z_95 = 1.959963984540054


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of a `Timing`, from samples of several processes."""

    median_ms: float
    mad_ms: float
    p10_ms: float
    p90_ms: float
    ci_low_ms: float
    ci_high_ms: float
    num_runs: int
    process_spread: float


def median_interval(samples: npt.ArrayLike) -> tuple[float, float]:
    """Return the 95 % interval of the median of independent `samples`, at least one, by their order statistics.

    The number of samples below the true median is binomial (n, 1/2); its normal approximation gives the two ranks
    (Conover, Practical Nonparametric Statistics, section 3.2). Below six samples the interval is their whole range,
    which covers less.
    """
    ordered = np.sort(np.asarray(samples, np.float64))
    # The mean of the binomial is n / 2, its standard deviation sqrt(n) / 2.
    rank = max(int((len(ordered) - _Z_95 * len(ordered) ** 0.5) / 2), 0)
    return float(ordered[rank]), float(ordered[len(ordered) - 1 - rank])


def relative_half_width(samples: npt.ArrayLike) -> float:
    """Return half the width of the median's interval as a fraction of the median; infinite below two samples."""
    if np.size(samples) < 2:
        return float("inf")
    low, high = median_interval(samples)
    return (high - low) / 2 / float(np.median(np.asarray(samples, np.float64)))


def summarise(processes: Sequence[npt.ArrayLike]) -> Summary:
    """Return the summary of samples in milliseconds, one sequence for each process that has any.

    Every process has the same weight, however many samples it has. The interval is that of a mean of independent
    medians: half widths add in squares and are divided by the number of processes.
    """
    arrays = [np.asarray(samples, np.float64) for samples in processes if np.size(samples)]
    medians = np.array([np.median(samples) for samples in arrays])
    intervals = np.array([median_interval(samples) for samples in arrays])
    below, above = medians - intervals[:, 0], intervals[:, 1] - medians
    median = float(medians.mean())
    return Summary(
        median_ms=median,
        mad_ms=_mean_over(arrays, lambda x: np.median(np.abs(x - np.median(x)))),
        p10_ms=_mean_over(arrays, lambda x: np.quantile(x, 0.1)),
        p90_ms=_mean_over(arrays, lambda x: np.quantile(x, 0.9)),
        ci_low_ms=median - float(np.sqrt((below**2).sum())) / len(arrays),
        ci_high_ms=median + float(np.sqrt((above**2).sum())) / len(arrays),
        num_runs=sum(len(samples) for samples in arrays),
        process_spread=float((medians.max() - medians.min()) / median),
    )


def _mean_over(arrays: Sequence[npt.NDArray[np.float64]], statistic: Callable[[npt.NDArray[np.float64]], Any]) -> float:
    return float(np.mean([statistic(samples) for samples in arrays]))
