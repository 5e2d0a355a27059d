import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.profiling.statistics import median_interval, relative_half_width, summarise

SAMPLES = st.lists(st.floats(0.01, 100), min_size=1, max_size=60)


def test_interval_of_twenty_samples_is_the_sixth_and_the_fifteenth():
    # P(6 <= Binomial(20, 1/2) <= 14) = 0.9586
    assert median_interval(range(1, 21)) == (6, 15)


def test_interval_covers_the_true_median_in_about_95_of_100_cases():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        low, high = median_interval(rng.exponential(size=40))
        inside += low <= np.log(2) <= high
    assert 0.93 <= inside / 1000 <= 0.98


@given(SAMPLES)
def test_interval_holds_the_median(samples):
    low, high = median_interval(samples)
    assert low <= np.median(samples) <= high


@given(st.lists(SAMPLES, min_size=1, max_size=3))
def test_summary_is_in_order(processes):
    summary = summarise(processes)
    assert summary.ci_low_ms <= summary.median_ms <= summary.ci_high_ms
    assert summary.p10_ms <= summary.p90_ms
    assert summary.num_runs == sum(map(len, processes))
    assert summary.process_spread >= 0


def test_processes_count_alike():
    summary = summarise([[1.0] * 100, [2.0] * 3])
    assert summary.median_ms == 1.5
    assert summary.process_spread == pytest.approx(2 / 3)


def test_one_sample_says_nothing_of_its_width():
    assert relative_half_width([1.0]) == float("inf")
