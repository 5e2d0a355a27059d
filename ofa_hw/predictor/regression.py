"""`Regression`: a fitted model with calibrated errors and the held-out predictions that its figures come from."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.predictor.encoding import Features
from ofa_hw.predictor.intervals import ErrorModel
from ofa_hw.predictor.models import MODELS, Model, prepare_fit
from ofa_hw.predictor.threads import LEARNERS, on_one_thread
from ofa_hw.predictor.validation import FitFigures, correlations, predict_held_out, root_mean_square
from ofa_hw.progress import ProgressCallback, no_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What the model of the other folds predicts for each row, (n,), and half the width of its 90 % interval, (n,)."""

    predicted: FloatArray
    half_width: FloatArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Regression:
    """A model of a score, which `slope` and `intercept` map to the target; they are 1 and 0 if the score is the target.

    Features are (n, num_features); what is predicted is (n,) in the target's unit.
    """

    model_name: str
    model: Model
    slope: float
    intercept: float
    errors: ErrorModel
    figures: FitFigures
    held_out: HeldOut

    @classmethod
    @on_one_thread(*LEARNERS)
    def fit(
        cls,
        features: Features,
        target: FloatArray,
        folds: npt.NDArray[np.int64],
        *,
        score: FloatArray | None = None,
        model: str,
        seed: int,
        progress: ProgressCallback = no_progress,
    ) -> Regression:
        """Return the regression of `target` (n,), by way of `score` (n,) where one is given.

        `folds` (n,) is the number of the fold that each row is held out with. The model `auto` is the one with the
        highest held-out Kendall tau.

        Raises:
            InvalidInputError: there is no such model.
        """
        if model == "auto":
            fitted = [
                cls.fit(features, target, folds, score=score, model=name, seed=seed, progress=progress)
                for name in MODELS
            ]
            return max(fitted, key=lambda regression: regression.figures.kendall_tau)
        learnt = target if score is None else score
        fit = prepare_fit(model, features, learnt, seed=seed)
        predicted, spread = predict_held_out(fit, features, learnt, folds, progress=progress)
        slope, intercept = (1.0, 0.0) if score is None else _rising_line(predicted, target)
        error, spread = slope * predicted + intercept - target, slope * spread
        errors = ErrorModel.fit(error, spread)
        half_width = errors.held_out_half_width(folds, error, spread)
        tau, rho = correlations(predicted, learnt, folds)
        figures = FitFigures(
            num_samples=len(target),
            num_folds=int(folds.max()) + 1,
            kendall_tau=tau,
            spearman_rho=rho,
            rmse=root_mean_square(predicted - learnt),
            top1_kendall_tau=correlations(predicted, target, folds)[0],
            top1_rmse=root_mean_square(error),
            coverage_90=float((np.abs(error) <= half_width).mean()),
        )
        return cls(
            model_name=model,
            model=fit(features, learnt),
            slope=slope,
            intercept=intercept,
            errors=errors,
            figures=figures,
            held_out=HeldOut(predicted=slope * predicted + intercept, half_width=half_width),
        )

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return predictions and their standard deviations; nine in ten true values lie within 1.645 of them."""
        score, spread = self.model.predict(features)
        return self.slope * score + self.intercept, self.errors.std(self.slope * spread)

    def predict_mean(self, features: Features) -> FloatArray:
        """Return predictions alone."""
        return self.slope * self.model.predict(features)[0] + self.intercept

    def interval(self, features: Features, coverage: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the ends of intervals that hold the true value with probability `coverage`."""
        score, spread = self.model.predict(features)
        mean, half_width = self.slope * score + self.intercept, self.errors.half_width(self.slope * spread, coverage)
        return mean - half_width, mean + half_width


def _rising_line(score: FloatArray, target: FloatArray) -> tuple[float, float]:
    """Return slope, above 0, and intercept of the least-squares line from `score` to `target`."""
    deviation = score - score.mean()
    slope = float(deviation @ target / max(float(deviation @ deviation), 1e-300))
    # Above 0, so that the target keeps the ranking of the score.
    slope = max(slope, 1e-6)
    return slope, float(target.mean() - slope * score.mean())
