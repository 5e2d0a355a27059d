"""`GeneLayout`: what the search must know of a gene matrix, be it of a `SearchSpace` or of any discrete space."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import SearchSpace

GeneMatrix = npt.NDArray[np.signedinteger[Any]]
"""Shape (n, num_genes), indices of choices; int8 where every gene has at most 127 choices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneLayout:
    """The genes of a discrete space.

    `units` (num_genes,) numbers the genes that belong together and are inherited together: a stage's depth and its
    positions. `find_active` says of each row which genes change the network; the others are 0 in canonical rows.

    Raises:
        InvalidInputError: there is no gene, or one without a choice.
    """

    num_choices: tuple[int, ...]
    units: tuple[int, ...]
    find_active: Callable[[GeneMatrix], npt.NDArray[np.bool_]] | None = None

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

        def find_active(genes: GeneMatrix) -> npt.NDArray[np.bool_]:
            is_active = np.ones(genes.shape, dtype=bool)
            is_active[:, space.first_position_gene :] = np.repeat(space.active_positions(genes), 2, axis=1)
            return is_active

        num_stages = len(space.stages)
        positions = (1 + stage for stage in space.position_stages for _ in range(2))
        return cls(
            num_choices=space.num_choices, units=(0, *range(1, num_stages + 1), *positions), find_active=find_active
        )

    @property
    def num_genes(self) -> int:
        """The number of columns."""
        return len(self.num_choices)

    @functools.cached_property
    def dtype(self) -> np.dtype[np.signedinteger[Any]]:
        """The smallest signed integer that holds every index."""
        return np.dtype(np.min_scalar_type(-max(self.num_choices)))

    @functools.cached_property
    def num_rows(self) -> int:
        """The number of gene rows, those that are not canonical counted."""
        return math.prod(self.num_choices)

    def is_active(self, genes: GeneMatrix) -> npt.NDArray[np.bool_]:
        """Return (n, num_genes): whether each gene changes its network."""
        return np.ones(genes.shape, dtype=bool) if self.find_active is None else self.find_active(genes)

    def canonical(self, genes: GeneMatrix) -> GeneMatrix:
        """Return `genes` with 0 wherever a gene changes nothing."""
        return genes if self.find_active is None else (genes * self.find_active(genes)).astype(self.dtype)

    def all_rows(self) -> GeneMatrix:
        """Return every canonical row once."""
        grid = np.indices(self.num_choices, dtype=self.dtype).reshape(self.num_genes, -1).T
        return grid if self.find_active is None else np.unique(self.canonical(grid), axis=0)

    def sample(self, num: int, rng: np.random.Generator) -> GeneMatrix:
        """Return `num` canonical rows, each choice drawn uniformly; rows may repeat."""
        return self.canonical(rng.integers(0, self.num_choices, size=(num, self.num_genes)).astype(self.dtype))
