"""A linear model of what was evaluated so far, which says which children are worth an evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ofa_hw.search.layout import GeneLayout, GeneMatrix
from ofa_hw.search.pareto import Values

MAX_ROWS = 2000
PENALTY = 1.0
GROWTH = 1.2
"""The model is fitted again when the evaluations have grown by this factor."""


class AdditiveSurrogate:
    """Ridge regression of each objective, or of its rank where that is more linear, on one-hot genes.

    Additive models are poor predictors and good filters: they order children well enough to leave out the bad half.
    """

    def __init__(self, layout: GeneLayout) -> None:
        self._layout = layout
        self._offsets = np.concatenate([[0], np.cumsum(layout.num_choices)[:-1]])
        self._weights = np.zeros((sum(layout.num_choices), 0))
        self._intercept = np.zeros(0)

    def fit(self, genes: GeneMatrix, values: Values) -> None:
        """Fit to the last `MAX_ROWS` rows of `genes` and their `values` (n, m)."""
        genes, values = genes[-MAX_ROWS:], values[-MAX_ROWS:]
        ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
        targets = np.concatenate([values, ranks], axis=1)
        spreads = targets.std(axis=0)
        targets = (targets - targets.mean(axis=0)) / np.where(spreads > 0, spreads, 1.0)
        features = self._one_hot(genes)
        center = features.mean(axis=0)
        centered = features - center
        gram = centered.T @ centered + PENALTY * np.eye(centered.shape[1], dtype=np.float32)
        weights = np.linalg.solve(gram.astype(np.float64), centered.T @ targets)
        errors = ((centered @ weights - targets) ** 2).sum(axis=0).reshape(2, -1)
        num_objectives = values.shape[1]
        best = np.arange(num_objectives) + num_objectives * (errors[1] < errors[0])
        self._weights = weights[:, best]
        self._intercept = -center @ self._weights

    def predict(self, genes: GeneMatrix) -> Values:
        """Return scores (n, m) that order `genes` as their values would be, smaller is better."""
        return self._one_hot(genes) @ self._weights + self._intercept

    def _one_hot(self, genes: GeneMatrix) -> npt.NDArray[np.float32]:
        features = np.zeros((len(genes), sum(self._layout.num_choices)), dtype=np.float32)
        features[np.arange(len(genes))[:, None], genes + self._offsets] = self._layout.is_active(genes)
        return features
