"""The models by name, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor.encoding import Features
from ofa_hw.predictor.mlp import choose_weight_decay, fit_mlp
from ofa_hw.predictor.ridge import fit_ridge
from ofa_hw.predictor.trees import fit_trees

MODELS = ("mlp", "gbdt", "ridge")


class Model(Protocol):
    """A fitted regression."""

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return the mean and its standard deviation for features (n, num_features), each (n,)."""


Fit = Callable[[Features, FloatArray], Model]


def prepare_fit(name: str, features: Features, scores: FloatArray, *, seed: int) -> Fit:
    """Return the function that fits the model `name`, with the settings that suit these rows.

    Raises:
        InvalidInputError: there is no such model; the message lists them.
    """
    if name == "mlp":
        return partial(fit_mlp, seed=seed, weight_decay=choose_weight_decay(features, scores, seed=seed))
    if name == "gbdt":
        return partial(fit_trees, seed=seed)
    if name == "ridge":
        return fit_ridge
    raise InvalidInputError(f"model must be one of {', '.join(MODELS)} or auto; came {name!r}")
