"""Which whole networks a calibration is fitted to and judged on: those that a search may land on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, Genes, SearchSpace


def draw_networks(
    space: SearchSpace, num: int, rng: np.random.Generator, *, resolutions: Sequence[int] | None = None
) -> list[ArchConfig]:
    """Return `num` different architectures at the given `resolutions`, or at all of the space's.

    The first two are the smallest and the largest, between which all results of searches lie. Of the others about a
    third is uniform over the space. A third has no kernel of the largest size: on some CPUs such kernels are far
    slower, and a fit to networks with them is off on networks without. A third is spread evenly from the smallest to
    the largest networks: uniform draws hardly ever give small or large ones, and searches do.

    Raises:
        InvalidInputError: a resolution is not of the space, or it has fewer networks.
    """
    sizes = np.array([space.resolutions.index(size) for size in _checked(space, resolutions)])
    if num > space.num_archs // len(space.resolutions) * len(sizes):
        raise InvalidInputError(f"there must be {num} different networks; {space.name!r} has fewer")
    ends = (space.smallest, int(sizes.min())), (space.largest, int(sizes.max()))
    drawn = {dataclasses.replace(arch, resolution=space.resolutions[size]): None for arch, size in ends}
    if num <= len(drawn):
        return list(drawn)[:num]
    draws = (_uniform, _without_largest_kernel, _spread)
    for attempt in range(100 * num):
        genes = draws[attempt % len(draws)](space, rng)
        # Resolutions in turn, so that all have about the same number of networks.
        genes[0, 0] = sizes[len(drawn) % len(sizes)]
        drawn.setdefault(space.decode(space.canonical(genes))[0])
        if len(drawn) == num:
            return list(drawn)
    raise InvalidInputError(f"no {num} different networks were found in {space.name!r}; ask for fewer")


def _checked(space: SearchSpace, resolutions: Sequence[int] | None) -> Sequence[int]:
    chosen = space.resolutions if resolutions is None else resolutions
    unknown = sorted(set(chosen) - set(space.resolutions))
    if unknown or not chosen:
        raise InvalidInputError(f"resolutions must be among {space.resolutions} in {space.name!r}; came {list(chosen)}")
    return chosen


def _uniform(space: SearchSpace, rng: np.random.Generator) -> Genes:
    return space.sample_genes(1, rng)


def _without_largest_kernel(space: SearchSpace, rng: np.random.Generator) -> Genes:
    genes = _uniform(space, rng)
    num_kernels = space.max_num_values(of_kernels=True)
    if num_kernels > 1:
        kernels = space.kernel_columns
        smaller = rng.integers(0, num_kernels - 1, size=genes[:, kernels].shape)
        # A choice may have fewer sizes than the most: its own largest is left out too, unless it is the only one.
        genes[:, kernels] = np.minimum(smaller, np.maximum(np.array(space.num_choices)[kernels] - 2, 0))
    return genes


def _spread(space: SearchSpace, rng: np.random.Generator) -> Genes:
    return space.sample_spread_genes(1, rng)
