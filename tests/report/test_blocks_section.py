"""What each block costs, as the report tells it."""

import dataclasses

import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.report.sections import sections_of
from ofa_hw.report.sections.blocks import _cliff, _resolutions, block_costs, blocks_section
from ofa_hw.space import get_space
from tests.lut.example import SPACE, SPECS, block_ms, table


def test_costs_are_those_of_the_table_for_each_choice_and_place():
    costs = block_costs(table(), SPACE, 28)
    assert len(costs) == len(SPACE.kernel_sizes) * len(SPACE.expand_ratios) * 2 * len(SPACE.stages)
    assert all(cost.latency_ms == block_ms(cost.spec) for cost in costs)
    chain = block_specs(SPACE, SPACE.largest)
    first = next(cost for cost in costs if (cost.place, cost.kernel, cost.expand_ratio) == ("1 first", "7", 4))
    assert first.spec == chain[1]


def test_a_block_that_was_not_measured_has_no_cell():
    without = table(specs=[spec for spec in SPECS if spec.kernel_size != 7])
    assert {cost.kernel for cost in block_costs(without, SPACE, 28)} == {"3", "5"}


def test_the_greatest_step_between_kernels_is_told_in_words():
    costs = block_costs(table(), SPACE, 28)
    spike = [
        dataclasses.replace(cost, latency_ms=10.0)
        if (cost.place, cost.kernel, cost.expand_ratio) == ("2 next", "7", 3)
        else cost
        for cost in costs
    ]
    assert "from kernel 5 to 7 in stage 2 next block, expand ratio 3" in _cliff(spike, 28)


@pytest.mark.parametrize("name", ["ofa-mobilenetv3-w1.0", "fashion"])
def test_few_resolutions_are_shown_and_the_largest_is_among_them(name):
    class Sizes:
        resolutions = get_space(name).resolutions

    shown = _resolutions(Sizes(), get_space(name))
    assert 1 <= len(shown) <= 5
    assert shown[-1] == max(Sizes.resolutions)


def test_without_a_table_there_is_no_section(synthetic_results):
    without = sections_of([dataclasses.replace(synthetic_results, lut=None)])
    assert "blocks" not in [section.anchor for section in without]
    assert "blocks" in [section.anchor for section in sections_of([synthetic_results])]


def test_a_table_of_other_sizes_has_no_section():
    assert blocks_section(get_space("ofa-mobilenetv3-w1.0"), table()) is None
