import dataclasses

import numpy as np
import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.errors import TableError
from ofa_hw.lut import LatencyTable
from ofa_hw.space import get_space
from tests.lut.example import CONDITIONS, SPACE, SPECS, block_ms, measurement, table


def test_latency_is_the_sum_of_the_blocks():
    archs = SPACE.sample(50, np.random.default_rng(0))
    expected = [sum(block_ms(spec) for spec in block_specs(SPACE, arch)) for arch in archs]
    latency = table().latency_ms(SPACE, SPACE.encode(archs))
    assert latency.dtype == np.float64
    assert latency.shape == (50,)
    assert np.allclose(latency, expected, rtol=1e-12)


def test_missing_block_is_an_error_that_names_it_and_the_command():
    archs = SPACE.sample(5, np.random.default_rng(0))
    missing = block_specs(SPACE, archs[0])[2]
    partial = table([spec for spec in SPECS if spec != missing])
    with pytest.raises(TableError, match=missing.key) as caught:
        partial.latency_ms(SPACE, SPACE.encode(archs))
    assert "`ofa-hw profile --device example --space fashion --out lut/example.csv`" in str(caught.value)


def test_table_of_some_resolutions_answers_for_these():
    at_20 = table([spec for arch in [SPACE.smallest] for spec in block_specs(SPACE, arch)])
    assert at_20.resolutions == (20,)
    assert at_20.latency_ms(SPACE, SPACE.encode([SPACE.smallest])) > 0
    with pytest.raises(TableError, match="r28"):
        at_20.latency_ms(SPACE, SPACE.encode([SPACE.largest]))


def test_table_of_another_space_says_so():
    other = get_space("ofa-proxyless-w1.3")
    with pytest.raises(TableError, match=r"of space 'ofa-proxyless-w1.3' \(it was measured for 'fashion'"):
        table().latency_ms(other, other.encode([other.smallest]))


def test_block_twice_mixed_conditions_and_no_row_are_refused():
    with pytest.raises(TableError, match="stands twice"):
        table([SPECS[0], SPECS[0]])
    slower = dataclasses.replace(measurement(SPECS[1]), conditions=dataclasses.replace(CONDITIONS, num_threads=2))
    with pytest.raises(TableError, match="same conditions"):
        LatencyTable(space="fashion", measurements=(measurement(), slower))
    with pytest.raises(TableError, match="at least one row"):
        table([])


def test_interval_needs_a_calibration():
    with pytest.raises(TableError, match=r"ofa-hw calibrate --lut lut/example\.csv"):
        table().interval_ms(SPACE, SPACE.encode([SPACE.smallest]))


def test_same_space_with_other_classes_is_told_to_be_the_runs():
    of_run = dataclasses.replace(SPACE, num_classes=3)
    with pytest.raises(TableError, match=r"classifier-.* the folder of the run that has other classes"):
        table().latency_ms(of_run, of_run.encode([of_run.smallest]))
