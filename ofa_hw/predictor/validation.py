"""How good a predictor is on architectures that it was not fitted to: folds, held-out predictions, figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.predictor.encoding import Features
from ofa_hw.predictor.models import Fit
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.space import Genes


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitFigures:
    """Held-out figures of a predictor, by k-fold cross-validation.

    `kendall_tau`, `spearman_rho` and `rmse` compare with the score that was fitted, `top1_kendall_tau` and `top1_rmse`
    (a fraction) with the measured top-1; correlations are means over the folds. `coverage_90` is the share of measured
    top-1 within the 90 % interval, each fold's interval made from the other folds.
    """

    num_samples: int
    num_folds: int
    kendall_tau: float
    spearman_rho: float
    rmse: float
    top1_kendall_tau: float
    top1_rmse: float
    coverage_90: float


def assign_folds(genes: Genes, num_folds: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold (n,) of each row; equal architectures share one, so that no model has seen what it predicts."""
    _, arch_of_row = np.unique(genes, axis=0, return_inverse=True)
    num_archs = int(arch_of_row.max()) + 1
    # np.unique sorts architectures: shuffle them, then deal them out to folds of equal size.
    fold_of_arch = np.random.default_rng(seed).permutation(num_archs) % min(num_folds, num_archs)
    fold_of_row: npt.NDArray[np.int64] = fold_of_arch[arch_of_row.reshape(-1)]
    return fold_of_row


def predict_held_out(
    fit: Fit,
    features: Features,
    scores: FloatArray,
    folds: npt.NDArray[np.int64],
    *,
    progress: ProgressCallback = no_progress,
) -> tuple[FloatArray, FloatArray]:
    """Return for each row the mean and standard deviation by the model that was fitted to the other folds."""
    mean, std = np.empty(len(scores)), np.empty(len(scores))
    num_folds = int(folds.max()) + 1
    for fold in range(num_folds):
        progress("cross-validation", fold, num_folds)
        held_out = folds == fold
        mean[held_out], std[held_out] = fit(features[~held_out], scores[~held_out]).predict(features[held_out])
    progress("cross-validation", num_folds, num_folds)
    return mean, std


def correlations(predicted: FloatArray, measured: FloatArray, folds: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return Kendall's tau-b and Spearman's rho, each a mean over the folds; a fold with all values equal gives 0."""
    from scipy.stats import kendalltau, spearmanr

    taus, rhos = [], []
    # Within folds: across them the models differ, and their offsets would count as ranking.
    for fold in np.unique(folds):
        here = folds == fold
        if np.ptp(predicted[here]) == 0 or np.ptp(measured[here]) == 0:
            taus.append(0.0)
            rhos.append(0.0)
            continue
        taus.append(float(kendalltau(predicted[here], measured[here]).statistic))
        rhos.append(float(spearmanr(predicted[here], measured[here]).statistic))
    return float(np.mean(taus)), float(np.mean(rhos))


def root_mean_square(errors: FloatArray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))
