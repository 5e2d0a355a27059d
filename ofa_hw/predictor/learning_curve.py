"""How much better a predictor would be with more samples: held-out figures by the number of rows it learns from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor.encoding import encode_features
from ofa_hw.predictor.models import prepare_fit
from ofa_hw.predictor.threads import LEARNERS, on_one_thread
from ofa_hw.predictor.validation import assign_folds, correlations, root_mean_square
from ofa_hw.progress import ProgressCallback, no_progress

if TYPE_CHECKING:
    from ofa_hw.predictor.accuracy import AccuracyPredictor

NUM_FOLDS = 5
NUM_POINTS = 6
MIN_ROWS = 20
LEARNING_CURVE = "learning_curve.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """Held-out figures of models fitted to `num_samples` rows: tau with top-1, RMSE in percentage points."""

    num_samples: int
    kendall_tau: float
    rmse_points: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Points from few samples to four fifths of all, and the line through them.

    The squared error is `floor + slope / num_samples`, in squared points: a part that no number of samples removes
    (noise of the measured top-1, limits of the model), and a part that falls with each sample.
    """

    points: tuple[LearningPoint, ...]
    floor: float
    slope: float

    def rmse_points(self, num_samples: int) -> float:
        """Return the RMSE in points to be expected of `num_samples` rows."""
        return float(np.sqrt(self.floor + self.slope / num_samples))

    def to_csv(self) -> str:
        """Return the points as the text of `learning_curve.csv`."""
        rows = [f"{point.num_samples},{point.kendall_tau!r},{point.rmse_points!r}" for point in self.points]
        return "\n".join(["num_samples,kendall_tau,rmse_points", *rows, ""])


@on_one_thread(*LEARNERS)
def learning_curve(predictor: AccuracyPredictor, *, progress: ProgressCallback = no_progress) -> LearningCurve:
    """Return the curve of the predictor's model and score on its own rows, each point a mean over five folds.

    Raises:
        InvalidInputError: there are too few rows for a curve.
    """
    from scipy.optimize import nnls

    rows, regression = predictor.rows, predictor.regression
    features = encode_features(predictor.space, rows.genes)
    folds = assign_folds(rows.genes, NUM_FOLDS, seed=predictor.seed)
    most = min(int((folds != fold).sum()) for fold in range(NUM_FOLDS))
    if most < 2 * MIN_ROWS:
        raise InvalidInputError(
            f"a learning curve needs {int(2.5 * MIN_ROWS) + 5} evaluated subnets or more; came {len(folds)}: "
            "run `ofa-hw sample` for more"
        )
    points = []
    sizes = np.unique(np.geomspace(MIN_ROWS, most, NUM_POINTS).round().astype(int))
    order = np.random.default_rng(predictor.seed).permutation(len(folds))
    for index, num in enumerate(sizes):
        progress("learning curve", index, len(sizes))
        top1 = np.empty(len(folds))
        for fold in range(NUM_FOLDS):
            # The first rows of one random order: a larger training set contains the smaller ones.
            shown, hidden = order[folds[order] != fold][:num], folds == fold
            fit = prepare_fit(regression.model_name, features[shown], rows.scores[shown], seed=predictor.seed)
            score, _ = fit(features[shown], rows.scores[shown]).predict(features[hidden])
            # By the line of the full predictor: few rows would give a poor line, which is not what the curve is about.
            top1[hidden] = regression.slope * score + regression.intercept
        points.append(
            LearningPoint(
                num_samples=int(num),
                kendall_tau=correlations(top1, rows.top1, folds)[0],
                rmse_points=100 * root_mean_square(top1 - rows.top1),
            )
        )
    progress("learning curve", len(sizes), len(sizes))
    inverse = 1 / np.array([point.num_samples for point in points])
    squares = np.array([point.rmse_points**2 for point in points])
    # Relative errors, so that the last points, which are what is extrapolated from, count as much as the first.
    design = np.stack([np.ones_like(inverse), inverse], axis=1) / squares[:, None]
    (floor, slope), _ = nnls(design, np.ones_like(squares))
    return LearningCurve(points=tuple(points), floor=float(floor), slope=float(slope))
