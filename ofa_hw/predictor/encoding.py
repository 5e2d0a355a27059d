"""Architectures as the numbers that a predictor learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.space import Genes, SearchSpace

Features = npt.NDArray[np.float32]
"""Shape (n, num_features)."""


def one_hot(genes: Genes, num_choices: Sequence[int], is_active: npt.NDArray[np.bool_] | None = None) -> Features:
    """Return float32 (n, sum of `num_choices`): 1 for each gene's choice, all 0 where a gene is not active.

    `is_active` (n, num_genes) is True everywhere by default (arXiv 1908.09791, appendix A).
    """
    offsets = np.concatenate([[0], np.cumsum(num_choices)[:-1]])
    features = np.zeros((len(genes), sum(num_choices)), dtype=np.float32)
    features[np.arange(len(genes))[:, None], genes + offsets] = 1 if is_active is None else is_active
    return features


def encode_features(space: SearchSpace, genes: Genes) -> Features:
    """Return the one-hot features of `genes` (n, num_genes), 0 for the positions beyond a stage's depth.

    Raises:
        InvalidInputError: the matrix is not of this space.
    """
    genes = space.check_genes(genes)
    return one_hot(genes, space.num_choices, space.active_genes(genes))
