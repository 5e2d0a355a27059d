import numpy as np
import pytest

from ofa_hw.errors import InvalidInputError
from ofa_hw.lut import draw_networks
from ofa_hw.space import get_space

SPACE = get_space("fashion")


def test_networks_are_different_and_of_the_space():
    archs = draw_networks(SPACE, 60, np.random.default_rng(0))
    assert len(set(archs)) == 60
    for arch in archs:
        SPACE.validate(arch)
    assert {arch.resolution for arch in archs} == set(SPACE.resolutions)


def test_regions_are_all_met():
    archs = draw_networks(SPACE, 60, np.random.default_rng(0), resolutions=(20, 28))
    assert {arch.resolution for arch in archs} == {20, 28}
    largest = [max(block.kernel_size for stage in arch.stages for block in stage) for arch in archs]
    assert min(largest.count(7), len(largest) - largest.count(7)) >= 15
    depths = [sum(arch.depths) for arch in archs]
    assert min(depths) == sum(SPACE.smallest.depths)
    assert max(depths) == sum(SPACE.largest.depths)


def test_same_seed_draws_the_same():
    draw = [draw_networks(SPACE, 10, np.random.default_rng(5)) for _ in range(2)]
    assert draw[0] == draw[1]


def test_unknown_resolution_is_refused():
    with pytest.raises(InvalidInputError, match="resolutions must be among"):
        draw_networks(SPACE, 3, np.random.default_rng(0), resolutions=(21,))


def test_the_ends_of_the_space_come_first():
    smallest, largest, *_ = draw_networks(SPACE, 10, np.random.default_rng(0), resolutions=(20, 28))
    assert smallest == SPACE.smallest
    assert largest == SPACE.largest
    assert draw_networks(SPACE, 1, np.random.default_rng(0)) == [SPACE.smallest]
