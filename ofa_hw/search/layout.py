"""`GeneLayout`: what the search must know of a gene matrix, whether of a `SearchSpace` or any other discrete space."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import SearchSpace

GeneMatrix = npt.NDArray[np.signedinteger[Any]]
"""Shape (n, num_genes), indices of choices; int8 where every gene has at most 128 choices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneLayout:
    """The genes of a discrete space.

    `units` (num_genes,) gives the same number to genes that are inherited together: a stage's depth, its width and its
    positions. With `governors` (num_genes,), the columns of the depths that genes depend on, a gene is active only in
    rows where the value in that column is at least its entry of `needs`; inactive genes are 0 in canonical rows.

    Raises:
        InvalidInputError: there is no gene, or one without a choice.
    """

    num_choices: tuple[int, ...]
    units: tuple[int, ...]
    governors: tuple[int, ...] | None = None
    needs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.num_choices or min(self.num_choices) < 1:
            raise InvalidInputError(f"num_choices must hold 1 or more for each gene; came {self.num_choices}")

    @classmethod
    def free(cls, num_choices: Sequence[int]) -> GeneLayout:
        """Return the layout of independent genes that are always active."""
        return cls(num_choices=tuple(int(num) for num in num_choices), units=tuple(range(len(num_choices))))

    @classmethod
    def of_space(cls, space: SearchSpace) -> GeneLayout:
        """Return the layout of the space's genes: the resolution, then a unit for each stage."""
        units = tuple((1 + space.gene_stages).tolist())
        needs = tuple(space.least_depth_indices.tolist())
        # Column 0 is the resolution, column 1 + s the depth of stage s: a unit's number is its governor's column. The
        # resolution governs itself with a need of 0, so it is always active.
        return cls(num_choices=space.num_choices, units=units, governors=units, needs=needs)

    @property
    def num_genes(self) -> int:
        """The number of columns."""
        return len(self.num_choices)

    @functools.cached_property
    def dtype(self) -> np.dtype[np.signedinteger[Any]]:
        """The smallest signed integer that holds every index."""
        # Asked for a negative number, NumPy answers with a signed type.
        return np.dtype(np.min_scalar_type(-max(self.num_choices)))

    @functools.cached_property
    def num_rows(self) -> int:
        """The number of gene rows, including those that are not canonical."""
        return math.prod(self.num_choices)

    def is_active(self, genes: GeneMatrix) -> npt.NDArray[np.bool_]:
        """Return (n, num_genes): whether each gene changes its network."""
        if self.governors is None:
            return np.ones(genes.shape, dtype=bool)
        is_active: npt.NDArray[np.bool_] = genes[:, self._governors] >= self._needs
        return is_active

    @functools.cached_property
    def _governors(self) -> npt.NDArray[np.intp]:
        return np.array(self.governors, dtype=np.intp)

    @functools.cached_property
    def _needs(self) -> npt.NDArray[np.int8]:
        return np.array(self.needs, dtype=np.int8)

    def canonical(self, genes: GeneMatrix) -> GeneMatrix:
        """Return `genes` with 0 wherever a gene changes nothing."""
        return genes if self.governors is None else (genes * self.is_active(genes)).astype(self.dtype)

    def all_rows(self) -> GeneMatrix:
        """Return every canonical row once."""
        grid = np.indices(self.num_choices, dtype=self.dtype).reshape(self.num_genes, -1).T
        return grid if self.governors is None else np.unique(self.canonical(grid), axis=0)

    def sample(self, num: int, rng: np.random.Generator) -> GeneMatrix:
        """Return `num` canonical rows, each choice drawn uniformly; rows may repeat."""
        return self.canonical(rng.integers(0, self.num_choices, size=(num, self.num_genes)).astype(self.dtype))
