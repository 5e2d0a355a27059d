import dataclasses

import numpy as np
import pytest

from ofa_hw.errors import InvalidInputError, TableError
from ofa_hw.lut import calibrate_table, draw_networks
from tests.lut.example import CONDITIONS, SPACE, network, table

ARCHS = draw_networks(SPACE, 100, np.random.default_rng(0))


def noisy(archs, *, error, seed):
    rng = np.random.default_rng(seed)
    return [network(arch, factor=1 + error * rng.standard_normal()) for arch in archs]


def test_fit_finds_the_law_that_networks_follow():
    calibration = calibrate_table(table(), [network(arch) for arch in ARCHS[:20]]).calibration
    assert calibration.intercept_ms == pytest.approx(0.01, abs=1e-3)
    assert calibration.scale == pytest.approx(1.1, rel=5e-3)
    assert calibration.ms_per_mparam == pytest.approx(0.5, rel=0.1)


def test_fit_finds_what_each_large_kernel_adds():
    networks = [network(arch, ms_per_large_kernel=0.004) for arch in ARCHS]
    calibrated = calibrate_table(table(), networks[:20])
    assert calibrated.calibration.ms_per_large_kernel == pytest.approx(0.004, rel=0.1)
    measured = np.array([one.median_ms for one in networks[20:]])
    assert np.abs(calibrated.latency_ms(SPACE, SPACE.encode(ARCHS[20:])) / measured - 1).max() < 5e-3


def test_calibrated_latency_is_what_was_measured():
    calibrated = calibrate_table(table(), [network(arch) for arch in ARCHS[:20]])
    unseen = ARCHS[20:]
    measured = np.array([network(arch).median_ms for arch in unseen])
    assert np.abs(calibrated.latency_ms(SPACE, SPACE.encode(unseen)) / measured - 1).max() < 2e-3


def test_figures_compare_the_models_on_held_out_networks():
    networks = noisy(ARCHS, error=0.004, seed=0)
    calibration = calibrate_table(table(), networks[:20], networks[20:]).calibration
    of_all = {figures.model: figures for figures in calibration.figures if figures.region == "all"}
    assert set(of_all) == {"plain", "affine", "full", "macs"}
    assert of_all["full"].num_networks == 80
    assert of_all["full"].mean_error < of_all["plain"].mean_error
    assert of_all["full"].within_5_percent == 1.0
    assert of_all["full"].tau > 0.98
    assert {"r20", "r24", "r28", "with k7", "without k7"} <= {figures.region for figures in calibration.figures}


def test_intervals_cover_what_they_state():
    inside = []
    for seed in range(30):
        networks = noisy(ARCHS, error=0.004, seed=seed)
        calibrated = calibrate_table(table(), networks[:20])
        low, high = calibrated.interval_ms(SPACE, SPACE.encode(ARCHS[20:]))
        measured = np.array([one.median_ms for one in networks[20:]])
        inside.append(((low <= measured) & (measured <= high)).mean())
    assert 0.86 <= np.mean(inside) <= 0.94


def test_few_networks_stay_near_the_plain_sum():
    networks = [network(arch, intercept_ms=0, scale=1, ms_per_mparam=0) for arch in ARCHS[:3]]
    calibration = calibrate_table(table(), networks).calibration
    assert calibration.scale == pytest.approx(1, abs=0.02)


def test_too_few_networks_are_refused():
    with pytest.raises(InvalidInputError, match="3 networks or more; came 2"):
        calibrate_table(table(), [network(arch) for arch in ARCHS[:2]])


def test_networks_of_other_conditions_are_refused():
    other = dataclasses.replace(network(ARCHS[0]), conditions=dataclasses.replace(CONDITIONS, num_threads=4))
    with pytest.raises(TableError, match="num_threads is 1 in the table, 4 for network"):
        calibrate_table(table(), [other] * 5)


def test_coverage_must_be_a_fraction():
    calibrated = calibrate_table(table(), [network(arch) for arch in ARCHS[:5]])
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        calibrated.interval_ms(SPACE, SPACE.encode(ARCHS[:1]), coverage=90)
