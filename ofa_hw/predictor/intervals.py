"""Intervals calibrated on held-out predictions, so that they cover what they say (conformal, arXiv 1604.04173)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import InvalidInputError

NORMAL_90 = 1.6448536269514722
"""A normal variable lies within this many standard deviations with probability 0.9."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """How far measured scores lie from predicted ones.

    The variance of an error is `base_variance + spread_factor * spread**2`, where `spread` is the standard deviation
    over the members of the model; `ratios` (n,) are absolute held-out errors divided by the root of it, sorted.
    """

    base_variance: float
    spread_factor: float
    ratios: FloatArray

    @classmethod
    def fit(cls, errors: FloatArray, spreads: FloatArray) -> ErrorModel:
        """Return the model of held-out `errors` (n,) beside the members' `spreads` (n,)."""
        from scipy.optimize import nnls

        # In units of the typical squared error, for the solver's tolerance.
        unit = float(np.mean(errors**2)) or 1.0
        design = np.stack([np.ones(len(errors)), spreads**2 / unit], axis=1)
        # Neither may be negative, or the variance could be.
        (base, factor), _ = nnls(design, errors**2 / unit)
        if base + factor == 0:
            base = 1.0
        model = cls(base_variance=float(base) * unit, spread_factor=float(factor), ratios=np.empty(0))
        return dataclasses.replace(model, ratios=np.sort(np.abs(errors) / model._raw_std(spreads)))

    def std(self, spreads: FloatArray) -> FloatArray:
        """Return standard deviations (n,) such that nine in ten scores lie within 1.645 of them."""
        return self._raw_std(spreads) * (self._quantile(0.9) / NORMAL_90)

    def half_width(self, spreads: FloatArray, coverage: float) -> FloatArray:
        """Return half the width (n,) of intervals around the predictions that hold a share `coverage` of scores.

        Raises:
            InvalidInputError: `coverage` is not above 0 and below 1.
        """
        if not 0 < coverage < 1:
            raise InvalidInputError(f"coverage must be above 0 and below 1; came {coverage}")
        return self._raw_std(spreads) * self._quantile(coverage)

    def held_out_half_width(self, folds: npt.NDArray[np.int64], errors: FloatArray, spreads: FloatArray) -> FloatArray:
        """Return half the width (n,) of each row's 90 % interval, calibrated on the rows of the other folds."""
        std = self._raw_std(spreads)
        ratios, half_width = np.abs(errors) / std, np.empty(len(errors))
        for fold in np.unique(folds):
            here = folds == fold
            half_width[here] = std[here] * _conformal_quantile(np.sort(ratios[~here]), 0.9)
        return half_width

    def _raw_std(self, spreads: FloatArray) -> FloatArray:
        variance: FloatArray = np.maximum(self.base_variance + self.spread_factor * spreads**2, 1e-18)
        return np.sqrt(variance)

    def _quantile(self, coverage: float) -> float:
        return _conformal_quantile(self.ratios, coverage)


def _conformal_quantile(sorted_ratios: FloatArray, coverage: float) -> float:
    """Return the ratio that a new one exceeds with probability 1 - `coverage` at most, whatever the distribution.

    With fewer than `coverage / (1 - coverage)` ratios even the largest is too small for that, and is returned.
    """
    # n + 1: the new ratio is as likely at each place among the n.
    rank = math.ceil((len(sorted_ratios) + 1) * coverage)
    return float(sorted_ratios[min(rank, len(sorted_ratios)) - 1])
