"""`CategoricalPredictor`: any figure of any discrete space, predicted from genes, each the index of a choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor.encoding import Features, one_hot
from ofa_hw.predictor.regression import Regression
from ofa_hw.predictor.validation import FitFigures, assign_folds
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.space import Genes

MIN_ROWS = 10


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CategoricalPredictor:
    """A regression of any real value on genes; `num_choices` says how many choices each gene has.

    It is what `AccuracyPredictor` is to a `SearchSpace`; predictions and figures are in the unit of the values.
    """

    num_choices: tuple[int, ...]
    regression: Regression

    @classmethod
    def fit(
        cls,
        num_choices: Sequence[int],
        genes: npt.ArrayLike,
        values: npt.ArrayLike,
        *,
        model: str = "mlp",
        seed: int = 0,
        num_folds: int = 10,
        progress: ProgressCallback = no_progress,
    ) -> CategoricalPredictor:
        """Return the predictor fitted to `values` (n,) of `genes` (n, num_genes); `model` is mlp, gbdt, ridge or auto.

        Raises:
            InvalidInputError: fewer than `MIN_ROWS` rows, values that are not finite, or genes beyond the choices.
        """
        choices = tuple(int(num) for num in num_choices)
        features = _encode(choices, np.asarray(genes))
        target = np.asarray(values, dtype=np.float64)
        if target.shape != (len(features),):
            raise InvalidInputError(
                f"values must hold one number for each of {len(features)} rows; came {target.shape}"
            )
        if len(target) < MIN_ROWS:
            raise InvalidInputError(f"a predictor needs {MIN_ROWS} rows or more; came {len(target)}")
        wrong = np.flatnonzero(~np.isfinite(target))
        if len(wrong):
            raise InvalidInputError(f"values must be finite; came {target[wrong[0]]} in row {wrong[0]}")
        folds = assign_folds(np.asarray(genes), num_folds, seed=seed)
        regression = Regression.fit(features, target, folds, model=model, seed=seed, progress=progress)
        return cls(num_choices=choices, regression=regression)

    @property
    def figures(self) -> FitFigures:
        """How good it is on rows that it was not fitted to; figures named top1 are those of the fitted value."""
        return self.regression.figures

    def predict(self, genes: Genes) -> tuple[FloatArray, FloatArray]:
        """Return predictions (n,) and standard deviations (n,); nine in ten true values lie within 1.645 of them."""
        return self.regression.predict(_encode(self.num_choices, genes))

    def interval(self, genes: Genes, coverage: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the ends (n,) and (n,) of intervals that hold the true value with probability `coverage`."""
        return self.regression.interval(_encode(self.num_choices, genes), coverage)


def _encode(num_choices: tuple[int, ...], genes: Genes) -> Features:
    if genes.ndim != 2 or genes.shape[1] != len(num_choices):
        raise InvalidInputError(f"genes must be (n, {len(num_choices)}); came {genes.shape}")
    if not np.issubdtype(genes.dtype, np.integer) or ((genes < 0) | (genes >= np.array(num_choices))).any():
        raise InvalidInputError("genes must be whole numbers from 0 to below num_choices")
    return one_hot(genes, num_choices)
