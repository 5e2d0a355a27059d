import dataclasses

import pytest

from ofa_hw.errors import TableError
from ofa_hw.lut import compare_tables
from tests.lut.example import SPECS, measurement, table


def test_equal_tables_do_not_differ():
    summary = compare_tables(table(), table()).summary()
    assert summary["median_ratio"] == 1
    assert summary["num_clear"] == 0


def test_clear_differences_are_told_from_unclear_ones():
    slower = [
        measurement(spec, ms=row.median_ms * (1.5 if spec == SPECS[3] else 1.001))
        for spec, row in zip(SPECS, table().measurements, strict=True)
    ]
    difference = compare_tables(table(), table(measurements=tuple(slower)))
    clear = [block for block in difference.blocks if block.is_clear]
    assert [block.block for block in clear] == [SPECS[3]]
    assert clear[0].ratio == pytest.approx(1.5)
    assert clear[0].ratio_low > 1


def test_blocks_of_one_table_alone_are_counted():
    difference = compare_tables(table(SPECS[:10]), table(SPECS[5:12]))
    assert (len(difference.blocks), difference.num_only_first, difference.num_only_second) == (5, 5, 2)


def test_changed_conditions_are_told():
    conditions = dataclasses.replace(table().conditions, runtime_version="2.4.0")
    rows = tuple(dataclasses.replace(row, conditions=conditions) for row in table().measurements)
    assert compare_tables(table(), table(measurements=rows)).changed_conditions == ("runtime_version: 2.3.0 -> 2.4.0",)


def test_tables_without_a_common_block_are_refused():
    with pytest.raises(TableError, match="share none"):
        compare_tables(table(SPECS[:3]), table(SPECS[3:6]))
