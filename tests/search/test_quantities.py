"""Quantities as a person writes them."""

import pytest

from ofa_hw.cost import LutLatency
from ofa_hw.search.objectives import with_unit
from ofa_hw.search.quantities import QuantityError, read_quantity
from ofa_hw.space import get_space
from tests.lut import example


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("30ms", "ms", 30),
        ("250us", "ms", 0.25),
        ("250 µs", "ms", 0.25),
        ("250μs", "ms", 0.25),
        ("1.5s", "ms", 1500),
        ("256KiB", "bytes", 262_144),
        ("1MiB", "bytes", 1_048_576),
        ("1.5 MB", "bytes", 1.5e6),
        ("32kB", "bytes", 32_000),
        ("4096", "bytes", 4096),
        ("4096 bytes", "bytes", 4096),
        ("5M", "count", 5e6),
        ("20k", "count", 2e4),
        ("1e6", "count", 1e6),
        ("1.2G", "count", 1.2e9),
        ("76%", "fraction", 0.76),
        (".76", "fraction", 0.76),
        ("76%", "", 0.76),
        ("5M", "", 5e6),
        ("-0.5", "", -0.5),
        ("12mJ", "mJ", 12),
    ],
)
def test_a_quantity_is_read_in_its_unit(text, unit, value):
    assert read_quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "told"),
    [
        ("30", "ms", "must be a number above 0 with us, μs, ms, s, such as 30ms; came '30'"),
        ("0ms", "ms", "a number above 0"),
        ("-3ms", "ms", "a number above 0"),
        ("nanms", "ms", "a number above 0"),
        ("30ms", "bytes", "such as 256KiB or 1.5MB; came '30ms'"),
        ("5MB", "count", "such as 5M; came '5MB'"),
        ("76", "fraction", "must be a fraction up to 1, such as 0.76 or 76%; came '76'"),
        ("", "count", "a number above 0"),
        ("5 W", "mJ", "must be a number with no suffix, mJ, such as 1.5mJ; came '5 W'"),
    ],
)
def test_what_is_no_quantity_of_the_unit_is_told_in_one_line(text, unit, told):
    with pytest.raises(QuantityError) as error:
        read_quantity(text, unit)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_latencies_below_a_millisecond_are_told_in_microseconds():
    space = get_space("fashion")
    latency = LutLatency(table=example.table(space=space), space=space)
    assert with_unit(latency, 0.00936) == "9.36 µs"
    assert with_unit(latency, 12.5) == "12.5 ms"
