"""A linear model of what was evaluated so far, which says which children are worth an evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ofa_hw.search.layout import GeneLayout, GeneMatrix
from ofa_hw.search.pareto import Values

MAX_ROWS = 2000
"""The latest evaluations to fit: they lie near the front, and the fit stays cheap."""
PENALTY = 1.0
NOISE = 0.5
"""Standard deviation of the noise in a guess, in leave-one-out errors; at 1 the best of a large pool would be luck."""
MAX_PAIR_FEATURES = 1200
"""Where there are at most so many pairs of choices, each is a feature too: a space of few genes can be learnt whole."""

Features = npt.NDArray[np.float32]


class LinearSurrogate:
    """Ridge regression of each objective, or of its rank where that is more linear, on one-hot genes.

    A guess is the prediction plus noise in proportion to the model's leave-one-out error: an accurate model guides the
    search, an inaccurate one leaves it as random as it was.
    """

    def __init__(self, layout: GeneLayout) -> None:
        self._layout = layout
        self._offsets = np.concatenate([[0], np.cumsum(layout.num_choices)[:-1]])
        # The gene that each one-hot feature belongs to: pairs within a gene are never both 1.
        owners = np.repeat(np.arange(layout.num_genes), layout.num_choices)
        first, second = np.triu_indices(len(owners), 1)
        differ = owners[first] != owners[second]
        self._pairs = (first[differ], second[differ]) if differ.sum() <= MAX_PAIR_FEATURES else None

    def fit(self, genes: GeneMatrix, values: Values) -> None:
        """Fit to the last `MAX_ROWS` rows of `genes` and their `values` (n, m)."""
        genes, values = genes[-MAX_ROWS:], values[-MAX_ROWS:]
        ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
        targets = np.concatenate([values, ranks], axis=1)
        means, spreads = targets.mean(axis=0), targets.std(axis=0)
        spreads[spreads == 0] = 1.0
        targets = (targets - means) / spreads
        features = self._features(genes)
        center = features.mean(axis=0)
        centered = features - center
        gram = centered.T @ centered + PENALTY * np.eye(centered.shape[1], dtype=np.float32)
        inverse = np.linalg.inv(gram.astype(np.float64))
        weights = inverse @ (centered.T @ targets)
        leverage = ((centered @ inverse.astype(np.float32)) * centered).sum(axis=1)
        # Leave-one-out residuals without refitting (PRESS); the floor keeps rows of leverage 1 finite.
        residuals = (centered @ weights - targets) / np.maximum(1 - leverage, 0.05)[:, None]
        errors = np.sqrt((residuals**2).mean(axis=0))
        num_objectives = values.shape[1]
        self._is_ranked = errors[num_objectives:] < errors[:num_objectives]
        # `targets` hold the values, then their ranks: the column of whichever is predicted better.
        best = np.arange(num_objectives) + num_objectives * self._is_ranked
        self._weights = weights[:, best] * spreads[best]
        self._intercept = means[best] - center @ self._weights
        self._errors = errors[best] * spreads[best]
        self._sorted = np.sort(values, axis=0)

    def guess(self, genes: GeneMatrix, rng: np.random.Generator) -> Values:
        """Return values (n, m) that `genes` may have, each drawn around the model's prediction."""
        guesses: Values = self._features(genes) @ self._weights + self._intercept
        guesses += NOISE * self._errors * rng.standard_normal(guesses.shape)
        for column in np.flatnonzero(self._is_ranked):
            # A predicted rank becomes the value of that rank among the rows of the fit.
            known = self._sorted[:, column]
            guesses[:, column] = np.interp(guesses[:, column], np.arange(len(known)), known)
        return guesses

    def _features(self, genes: GeneMatrix) -> Features:
        one_hot = np.zeros((len(genes), sum(self._layout.num_choices)), dtype=np.float32)
        one_hot[np.arange(len(genes))[:, None], genes + self._offsets] = self._layout.is_active(genes)
        if self._pairs is None:
            return one_hot
        first, second = self._pairs
        return np.concatenate([one_hot, one_hot[:, first] * one_hot[:, second]], axis=1)
