"""Predict a subnet's accuracy from its genes: samples, encoding, models, held-out figures.

The names below are what the other floors use.
"""

from ofa_hw.predictor.accuracy import AccuracyPredictor
from ofa_hw.predictor.categorical import CategoricalPredictor
from ofa_hw.predictor.elsewhere import read_measured_top1
from ofa_hw.predictor.learning_curve import LearningCurve, learning_curve
from ofa_hw.predictor.samples import EvaluatedArch, append_sample, read_samples, samples_to_pandas, write_samples
from ofa_hw.predictor.shipped import find_predictor

__all__ = [
    "AccuracyPredictor",
    "CategoricalPredictor",
    "EvaluatedArch",
    "LearningCurve",
    "append_sample",
    "find_predictor",
    "learning_curve",
    "read_measured_top1",
    "read_samples",
    "samples_to_pandas",
    "write_samples",
]
