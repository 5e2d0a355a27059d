"""`AccuracyPredictor`: from genes to top-1, without touching an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor.encoding import encode_features
from ofa_hw.predictor.regression import Regression
from ofa_hw.predictor.ridge import fit_ridge
from ofa_hw.predictor.samples import EvaluatedArch
from ofa_hw.predictor.threads import LEARNERS, on_one_thread
from ofa_hw.predictor.validation import FitFigures, assign_folds, correlations, predict_held_out
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.space import ArchConfig, Genes, SearchSpace

if TYPE_CHECKING:
    from ofa_hw.predictor.learning_curve import LearningCurve

SOFT_SCORES = ("mean_true_prob", "mean_log_likelihood")
SCORES = ("top1", *SOFT_SCORES)
MIN_SAMPLES = 10
_BEND = 0.001
"""How close to 0 or 1, as a fraction, `as_fractions` begins to bend."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """What a predictor was fitted to: canonical `genes` (n, num_genes), `scores` (n,), and `top1` fractions (n,)."""

    genes: Genes
    scores: FloatArray
    top1: FloatArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AccuracyPredictor:
    """A regression of top-1 on the genes of `space`, directly or by way of the soft `score`.

    On few images a soft score can rank subnets far better than their top-1 does; the line from score to top-1 rises, so
    that it keeps the ranking.
    """

    space: SearchSpace
    score: str
    regression: Regression
    rows: TrainingRows
    seed: int

    def __repr__(self) -> str:
        return (
            f"<AccuracyPredictor of {self.space.name}: {self.model_name} by {self.score}, {len(self.rows.top1)} "
            f"subnets, Kendall tau {self.figures.kendall_tau:.3f} held out>"
        )

    @classmethod
    def fit(
        cls,
        space: SearchSpace,
        archs: Iterable[ArchConfig],
        top1: npt.ArrayLike,
        *,
        model: str = "mlp",
        seed: int = 0,
        num_folds: int = 10,
        progress: ProgressCallback = no_progress,
    ) -> AccuracyPredictor:
        """Return the predictor fitted to `top1` (n,), fractions; `model` is mlp, gbdt, ridge, or auto.

        `auto` takes the model with the highest held-out Kendall tau.

        Raises:
            InvalidInputError: fewer than `MIN_SAMPLES` rows, values that are not fractions, no such model, or an
                architecture of another space.
        """
        genes, values = space.encode(archs), np.asarray(top1, dtype=np.float64)
        _check_fractions(values, len(genes))
        rows = TrainingRows(genes=genes, scores=values, top1=values)
        return cls._fit_rows(space, rows, "top1", model, seed, num_folds, progress)

    @classmethod
    def fit_samples(
        cls,
        space: SearchSpace,
        samples: Sequence[EvaluatedArch],
        *,
        model: str = "mlp",
        score: str = "auto",
        seed: int = 0,
        num_folds: int = 10,
        progress: ProgressCallback = no_progress,
    ) -> AccuracyPredictor:
        """Return the predictor fitted to one `score` of the samples, mapped to top-1.

        `auto` takes the score whose held-out predictions rank the measured top-1 best. On few images that is often a
        soft score; after distillation a soft score may say more about a network's confidence than about its accuracy.

        Raises:
            InvalidInputError: as `fit`, or no such score.
        """
        genes = space.encode(sample.arch for sample in samples)
        top1 = np.array([sample.top1 for sample in samples])
        _check_fractions(top1, len(genes))
        if score == "auto":
            score = _best_ranking_score(space, genes, samples, top1, num_folds=num_folds, seed=seed)
        elif score not in SCORES:
            raise InvalidInputError(f"score must be one of {', '.join(SCORES)} or auto; came {score!r}")
        rows = TrainingRows(genes=genes, scores=_scores_of(samples, score), top1=top1)
        return cls._fit_rows(space, rows, score, model, seed, num_folds, progress)

    @classmethod
    def _fit_rows(
        cls,
        space: SearchSpace,
        rows: TrainingRows,
        score: str,
        model: str,
        seed: int,
        num_folds: int,
        progress: ProgressCallback,
    ) -> AccuracyPredictor:
        regression = Regression.fit(
            encode_features(space, rows.genes),
            rows.top1,
            assign_folds(rows.genes, num_folds, seed=seed),
            score=None if score == "top1" else rows.scores,
            model=model,
            seed=seed,
            progress=progress,
        )
        return cls(space=space, score=score, regression=regression, rows=rows, seed=seed)

    @property
    def model_name(self) -> str:
        """The model: mlp, gbdt or ridge."""
        return self.regression.model_name

    @property
    def figures(self) -> FitFigures:
        """How good it is on architectures that it was not fitted to."""
        return self.regression.figures

    def predict(self, genes: Genes) -> tuple[FloatArray, FloatArray]:
        """Return top-1 fractions (n,) and their standard deviations (n,) for `genes` (n, num_genes).

        Nine in ten measured values lie within 1.645 standard deviations.
        """
        mean, std = self.regression.predict(encode_features(self.space, genes))
        return as_fractions(mean), std

    def predict_top1(self, genes: Genes) -> FloatArray:
        """Return top-1 fractions (n,) alone."""
        return as_fractions(self.regression.predict_mean(encode_features(self.space, genes)))

    @property
    def seen_resolutions(self) -> tuple[int, ...]:
        """The resolutions of the networks that it was fitted to; predictions at others mean nothing."""
        return tuple(self.space.resolutions[index] for index in np.unique(self.rows.genes[:, 0]))

    def interval(self, genes: Genes, coverage: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the ends (n,) and (n,) of intervals that hold the measured top-1 with probability `coverage`.

        They are fractions, and the prediction lies between them.
        """
        return interval_of_fractions(*self.regression.interval(encode_features(self.space, genes), coverage))

    def save(self, folder: str | Path, *, curve: LearningCurve | None = None) -> None:
        """Replace `folder` by one of this predictor, with its learning `curve`; all is there, or the one before stays.

        Raises:
            RunError: the folder has files that are not a predictor's.
        """
        from ofa_hw.predictor.storage import save_predictor

        save_predictor(self, Path(folder), curve)

    @classmethod
    def load(cls, folder: str | Path) -> AccuracyPredictor:
        """Return the predictor that `save` wrote into `folder`.

        Raises:
            RunError: it is missing, damaged, or of versions that cannot read it here; the message says how to refit.
        """
        from ofa_hw.predictor.storage import load_predictor

        return load_predictor(Path(folder))


def as_fractions(values: FloatArray) -> FloatArray:
    """Return `values` (n,) bent into [0, 1] without changing their order.

    Only values within `_BEND` of 0 or 1, or beyond them, are moved: there the identity goes over into a hyperbola that
    approaches the end. Clipping would make all values beyond an end equal; a logit link would change all predictions.
    """
    # How far a value lies beyond the point where bending begins, on either side of 0.5.
    beyond = np.maximum(np.abs(values - 0.5) - (0.5 - _BEND), 0)
    bent: FloatArray = 1 - _BEND**2 / (_BEND + beyond) - 0.5
    return np.where(beyond > 0, 0.5 + np.copysign(bent, values - 0.5), values)


def interval_of_fractions(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends (n,) of intervals cut to [0, 1], but not beyond the bent ends: the prediction stays inside."""
    return np.minimum(np.clip(low, 0, 1), as_fractions(low)), np.maximum(np.clip(high, 0, 1), as_fractions(high))


def _check_fractions(top1: FloatArray, num_archs: int) -> None:
    if top1.shape != (num_archs,):
        raise InvalidInputError(f"top1 must hold one value for each of {num_archs} architectures; came {top1.shape}")
    if num_archs < MIN_SAMPLES:
        raise InvalidInputError(
            f"a predictor needs {MIN_SAMPLES} evaluated subnets or more; came {num_archs}: run `ofa-hw sample` for more"
        )
    wrong = np.flatnonzero(~((top1 >= 0) & (top1 <= 1)))
    if len(wrong):
        raise InvalidInputError(
            f"top1 must be finite fractions from 0 to 1 (percent / 100); came {top1[wrong[0]]} in row {wrong[0]}"
        )


def _scores_of(samples: Sequence[EvaluatedArch], score: str) -> FloatArray:
    return np.array([getattr(sample, score) for sample in samples], dtype=np.float64)


@on_one_thread(*LEARNERS)
def _best_ranking_score(
    space: SearchSpace, genes: Genes, samples: Sequence[EvaluatedArch], top1: FloatArray, *, num_folds: int, seed: int
) -> str:
    """Return the score whose held-out ridge predictions have the highest Kendall tau with `top1`."""
    features, folds = encode_features(space, genes), assign_folds(genes, num_folds, seed=seed)
    taus = {
        score: correlations(predict_held_out(fit_ridge, features, _scores_of(samples, score), folds)[0], top1, folds)[0]
        for score in SCORES
    }
    return max(taus, key=lambda score: taus[score])
