"""Gradient-boosted trees of scikit-learn, a small ensemble on resampled rows, kept and walked as plain arrays.

Shapes: M members, T trees each, K nodes of all trees together, N rows, F features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import RunError
from ofa_hw.predictor.encoding import Features

NUM_MEMBERS = 4
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""What a file of earlier versions may hold beside the types that skops trusts by itself."""
_MAX_DEPTH = 64
"""Ours have 8 leaves. What is deeper may be a circle."""

Indices = npt.NDArray[np.int32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TreeEnsemble:
    """Fitted trees; the mean of the members predicts, their spread doubts.

    A row goes from each of `roots` (M, T) by `left` (K,) where its `feature` (K,) is at most `threshold` (K,), else by
    `right` (K,), to a leaf, which has itself on both sides; a member says its `baseline` (M,) and the `value` (K,) of
    the leaves of all its trees.

    Raises:
        ValueError: shapes disagree, an index or number is out of range, or a tree has no end.
    """

    roots: Indices
    left: Indices
    right: Indices
    feature: Indices
    threshold: FloatArray
    value: FloatArray
    baseline: FloatArray

    def __post_init__(self) -> None:
        num_nodes = len(self.value)
        for name in ("left", "right", "feature", "threshold", "value"):
            if getattr(self, name).shape != (num_nodes,):
                raise ValueError(f"{name} of the trees must be ({num_nodes},); it is {getattr(self, name).shape}")
        if self.roots.ndim != 2 or not self.roots.size or self.baseline.shape != self.roots.shape[:1]:
            raise ValueError(f"roots must be (members, trees) with a baseline each; they are {self.roots.shape}")
        for name in ("roots", "left", "right"):
            indices = getattr(self, name)
            if not ((indices >= 0) & (indices < num_nodes)).all():
                raise ValueError(f"{name} of the trees must be indices below {num_nodes}")
        reached = np.unique(self.roots)
        for _ in range(_MAX_DEPTH):
            reached = reached[~self._is_leaf[reached]]
            reached = np.unique([self.left[reached], self.right[reached]])
            if not len(reached):
                return
        raise ValueError(f"trees must be at most {_MAX_DEPTH} deep")

    @property
    def _is_leaf(self) -> npt.NDArray[np.bool_]:
        own = np.arange(len(self.value))
        is_leaf: npt.NDArray[np.bool_] = (self.left == own) & (self.right == own)
        return is_leaf

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of the members' scores, each (N,)."""
        scores_NM = np.empty((len(features), len(self.baseline)))
        for first in range(0, len(features), 500):
            scores_NM[first : first + 500] = self._scores(features[first : first + 500])
        return scores_NM.mean(axis=1), scores_NM.std(axis=1)

    def _scores(self, features_NF: Features) -> FloatArray:
        children = np.stack([self.left, self.right], axis=1).ravel()
        rows = np.arange(len(features_NF))[:, None] * features_NF.shape[1]
        # int64 by itself: NumPy would turn narrower indices into it at every step.
        node_NT = np.tile(self.roots.ravel().astype(np.int64), (len(features_NF), 1))
        while True:
            is_right = features_NF.ravel()[rows + self.feature[node_NT]] > self.threshold[node_NT]
            next_NT = children[2 * node_NT + is_right]
            if np.array_equal(next_NT, node_NT):
                break
            node_NT = next_NT.astype(np.int64)
        values = self.value[node_NT].reshape(len(features_NF), *self.roots.shape)
        scores: FloatArray = self.baseline + values.sum(axis=2)
        return scores

    def check(self, num_features: int) -> None:
        """Return where the trees can tell rows of so many features; ValueError where they cannot."""
        if not ((self.feature >= 0) & (self.feature < num_features)).all():
            raise ValueError(f"trees must look at features below {num_features}")

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return all that the ensemble holds, by name; `from_arrays` reads it back."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> TreeEnsemble:
        """Return the ensemble that `to_arrays` wrote; KeyError where an array is missing."""
        return cls(
            roots=arrays["roots"].astype(np.int32),
            left=arrays["left"].astype(np.int32),
            right=arrays["right"].astype(np.int32),
            feature=arrays["feature"].astype(np.int32),
            threshold=arrays["threshold"].astype(np.float64),
            value=arrays["value"].astype(np.float64),
            baseline=arrays["baseline"].astype(np.float64),
        )

    @classmethod
    def of_members(cls, members: list[Any]) -> TreeEnsemble:
        """Return the trees of fitted `HistGradientBoostingRegressor`s, all of one number of trees."""
        trees = [[tree.nodes for (tree,) in member._predictors] for member in members]
        nodes = np.concatenate([tree for of_member in trees for tree in of_member])
        sizes = [len(tree) for of_member in trees for tree in of_member]
        starts = np.cumsum([0, *sizes[:-1]])
        offset, own, is_leaf = np.repeat(starts, sizes), np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        if nodes["is_categorical"].any():
            raise ValueError("trees must tell features by thresholds")
        return cls.from_arrays(
            {
                "roots": starts.reshape(len(members), -1),
                "left": np.where(is_leaf, own, nodes["left"].astype(np.int64) + offset),
                "right": np.where(is_leaf, own, nodes["right"].astype(np.int64) + offset),
                "feature": np.where(is_leaf, 0, nodes["feature_idx"]),
                "threshold": np.where(is_leaf, 0, nodes["num_threshold"]),
                "value": nodes["value"],
                "baseline": np.array([float(np.squeeze(member._baseline_prediction)) for member in members]),
            }
        )

    @classmethod
    def from_skops(cls, content: bytes, *, source: str) -> TreeEnsemble:
        """Return the ensemble of the archive that earlier versions wrote.

        Raises:
            RunError: the archive is damaged, or holds a type that these trees do not need; nothing of it is built.
        """
        import skops.io

        try:
            unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
            if unknown:
                raise RunError(
                    f"{source} must hold nothing but scikit-learn's trees; it names {', '.join(unknown)}: "
                    "do not trust this file, and fit again with `ofa-hw fit --model gbdt`"
                )
            return cls.of_members(skops.io.loads(content, trusted=list(TRUSTED_TYPES)))
        except RunError:
            raise
        except Exception as error:  # skops raises whatever the first damaged part leads to
            raise RunError(f"{source} cannot be read ({error}); fit again with `ofa-hw fit --model gbdt`") from error


def fit_trees(features: Features, scores: FloatArray, *, seed: int) -> TreeEnsemble:
    """Return an ensemble fitted to `scores` (N,); each member sees its own four fifths of the rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    rng = np.random.default_rng(seed)
    members = []
    for _ in range(NUM_MEMBERS):
        rows = rng.permutation(len(features))[: max(2, len(features) * 4 // 5)]
        member = HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=400,
            max_leaf_nodes=8,
            # scikit-learn's default of 20 would leave few rows without a split.
            min_samples_leaf=max(2, min(10, len(features) // 50)),
            l2_regularization=1.0,
            early_stopping=False,
            random_state=int(rng.integers(2**31)),
        )
        members.append(member.fit(features[rows], scores[rows]))
    return TreeEnsemble.of_members(members)
