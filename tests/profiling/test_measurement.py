import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling import MeasurementPlan
from ofa_hw.profiling.measurement import cores_of, mask_of
from tests.lut.example import measurement


@given(st.sets(st.integers(0, 63), min_size=1))
def test_mask_and_cores_are_the_same_thing(cores):
    assert set(cores_of(mask_of(tuple(cores)))) == cores


@pytest.mark.parametrize("mask", ["", "0", "zz", "-1"])
def test_mask_that_names_no_core_is_refused(mask):
    with pytest.raises(InvalidInputError, match="cpu_mask must be"):
        MeasurementPlan(cpu_mask=mask)


@pytest.mark.parametrize(
    ("field", "value"),
    [("dtype", "float7"), ("batch_size", 0), ("num_threads", 0), ("max_seconds", 0), ("target_relative_ci", -1)],
)
def test_plan_outside_its_range_is_refused(field, value):
    with pytest.raises(InvalidInputError, match=field):
        MeasurementPlan(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("median_ms", 0.0),
        ("median_ms", float("nan")),
        ("median_ms", float("inf")),
        ("median_ms", 1e9),
        ("p90_ms", -1.0),
        ("mad_ms", -0.1),
        ("ci_low_ms", 2.0),
        ("num_runs", 0),
    ],
)
def test_absurd_latency_is_refused(field, value):
    with pytest.raises(InvalidInputError, match=field):
        dataclasses.replace(measurement(), **{field: value})
