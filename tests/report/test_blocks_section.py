"""What each block costs, as the report tells it."""

import dataclasses

import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.report.charts.blocks_chart import _round_steps
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


def test_the_colours_of_the_map_are_told_in_milliseconds_and_each_kernel_size_once():
    (place,) = blocks_section(SPACE, table()).figures
    chart = place.chart(width=300, legend=True).to_dict()
    cells, headings = chart["layer"]
    legend = cells["encoding"]["opacity"]["legend"]
    rows = cells.get("data", chart.get("data"))["values"]
    assert legend["title"] == "latency, ms"
    assert 2 <= len(legend["values"]) <= 5
    assert 0 < legend["values"][0] < legend["values"][-1] <= max(row["latency_ms"] for row in rows)
    assert cells["encoding"]["opacity"]["field"] == "latency_ms"
    # The axis tells the kernel sizes; no cell repeats them.
    assert cells["encoding"]["x"]["title"] == "kernel size"
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["rect", "text"]
    columns = cells["encoding"]["x"]["scale"]["domain"]
    assert columns[:5] == ["1 first/3", "1 first/5", "1 first/7", "1 next/", "1 next/3"]
    assert headings["encoding"]["text"]["field"] == "words"


@pytest.mark.parametrize(
    ("largest", "steps"),
    [(0.1, [0.02, 0.04, 0.06, 0.08, 0.1]), (0.93, [0.2, 0.4, 0.6, 0.8]), (12, [5, 10]), (7, [2, 4, 6])],
)
def test_the_legend_has_few_round_steps(largest, steps):
    assert _round_steps(largest) == pytest.approx(steps)
