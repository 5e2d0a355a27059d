"""Ridge regression: the simple baseline, and the predictor for which the exact front can be computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.predictor.encoding import Features

PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-2, 3.5, 0.5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ridge:
    """A linear model: `weights` (F,), `intercept`, and the standard deviation of its leave-one-out errors."""

    weights: FloatArray
    intercept: float
    std: float

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return the scores and their standard deviation, the same for all, each (n,)."""
        return features @ self.weights + self.intercept, np.full(len(features), self.std)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return all that the model holds, by name; `from_arrays` reads it back."""
        return {"weights": self.weights, "scalars": np.array([self.intercept, self.std])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Ridge:
        """Return the model that `to_arrays` wrote; KeyError where an array is missing."""
        intercept, std = arrays["scalars"].astype(np.float64)
        return cls(weights=arrays["weights"].astype(np.float64), intercept=float(intercept), std=float(std))


def fit_ridge(features: Features, scores: FloatArray) -> Ridge:
    """Return the ridge regression of `scores` (n,), its penalty chosen by the leave-one-out error."""
    from sklearn.linear_model import RidgeCV

    # Without cv it uses leave-one-out, and best_score_ is minus its mean squared error.
    model = RidgeCV(PENALTIES).fit(features.astype(np.float64), scores)
    return Ridge(weights=model.coef_, intercept=float(model.intercept_), std=float(np.sqrt(-model.best_score_)))
