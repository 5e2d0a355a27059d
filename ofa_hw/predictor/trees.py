"""Gradient-boosted trees of scikit-learn, a small ensemble on subsets of the rows, stored by skops, never pickled."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ofa_hw.errors import RunError
from ofa_hw.predictor.encoding import Features, FloatArray

NUM_MEMBERS = 4
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""The types that a file may hold in addition to those that skops trusts by default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TreeEnsemble:
    """Fitted `HistGradientBoostingRegressor`s; their mean predicts, their spread shows the uncertainty."""

    members: tuple[Any, ...]

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of the members' scores, each (n,)."""
        scores_MN = np.stack([member.predict(features) for member in self.members])
        return scores_MN.mean(axis=0), scores_MN.std(axis=0)

    def to_bytes(self) -> bytes:
        """Return the members as a skops archive."""
        import skops.io

        return bytes(skops.io.dumps(list(self.members)))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str) -> TreeEnsemble:
        """Return the ensemble that `to_bytes` wrote.

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
            members = tuple(skops.io.loads(content, trusted=list(TRUSTED_TYPES)))
        except RunError:
            raise
        except Exception as error:  # skops raises whatever the first damaged part leads to
            raise RunError(f"{source} cannot be read ({error}); fit again with `ofa-hw fit --model gbdt`") from error
        return cls(members=members)


def fit_trees(features: Features, scores: FloatArray, *, seed: int) -> TreeEnsemble:
    """Return an ensemble fitted to `scores` (n,); each member sees its own four fifths of the rows."""
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
    return TreeEnsemble(members=tuple(members))
