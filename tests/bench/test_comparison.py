"""What became slower, how surely, and what cannot be told."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ofa_hw.bench import Metric, ProcessTimes, Verdict, compare
from ofa_hw.bench.comparison import ratio_interval
from ofa_hw.errors import InvalidInputError
from tests.bench.example import CONDITIONS, benchmark, figure

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12)


def verdict_of(ratio, **options):
    before, now = figure(seed=1), figure(ratio=2.0 * ratio, seed=2, **options)
    return compare(benchmark(before), benchmark(now), threshold=0.05).changes[0].verdict


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (1.0, Verdict.SAME),
        (1.03, Verdict.SAME),
        (1.08, Verdict.SLOWER),
        (2.0, Verdict.SLOWER),
        (1.05, Verdict.UNCLEAR),
        (0.9, Verdict.FASTER),
        (0.952, Verdict.UNCLEAR),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side_of_the_threshold(ratio, verdict):
    assert verdict_of(ratio) is verdict


def test_noise_is_told_as_missing_evidence_and_not_as_no_change():
    assert verdict_of(1.0, spread=0.2) is Verdict.UNCLEAR
    assert verdict_of(1.08, spread=0.2) is Verdict.UNCLEAR


def test_one_process_is_no_evidence():
    assert verdict_of(2.0, num_processes=1) is Verdict.UNCLEAR


def test_a_slower_machine_is_no_slower_model():
    before, now = benchmark(figure(reference_ms=0.5)), benchmark(figure(reference_ms=0.9, seed=3))
    assert compare(before, now).changes[0].verdict is Verdict.SAME
    assert compare(before, now, is_absolute=True).changes[0].verdict is Verdict.SLOWER


@given(TIMES, TIMES)
def test_the_interval_is_that_of_welch(before, now):
    ratio, low, high = ratio_interval(before, now)
    logs = np.log(before), np.log(now)
    if min(np.ptp(values) for values in logs) > 1e-6:
        expected = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(0.95)
        assert np.log([low, high]) == pytest.approx([expected.low, expected.high], rel=1e-6, abs=1e-9)
    assert low <= ratio <= high


@given(TIMES, TIMES)
def test_the_other_way_round_the_interval_is_the_inverse(before, now):
    ratio, low, high = ratio_interval(before, now)
    assert ratio_interval(now, before) == pytest.approx((1 / ratio, 1 / high, 1 / low), rel=1e-9)


def test_the_same_times_in_every_process_are_compared_without_a_width():
    assert ratio_interval([1.0, 1.0], [1.1, 1.1]) == pytest.approx((1.1, 1.1, 1.1))


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        before, now = np.exp(0.01 * rng.standard_normal((2, 8)))
        _, low, high = ratio_interval(before, 1.03 * now)
        hits += low <= 1.03 <= high
    assert 0.94 < hits / 2000 < 0.965


def test_figures_of_one_side_alone_are_told_as_new_and_missing():
    comparison = compare(benchmark(figure("old"), figure("both")), benchmark(figure("both"), figure("fresh")))
    verdicts = {change.figure.name: change.verdict for change in comparison.changes}
    assert verdicts == {"both": Verdict.SAME, "fresh": Verdict.NEW, "old": Verdict.MISSING}


def test_figures_without_processes_have_no_interval_and_never_fail():
    plain = Metric(name="top1", title="Top-1", value=0.9, unit="fraction", smaller_is_better=False)
    comparison = compare(benchmark(plain), benchmark(dataclasses.replace(plain, value=0.5)))
    assert comparison.changes[0].verdict is Verdict.NO_INTERVAL
    assert not comparison.regressions


def test_another_runtime_or_machine_is_told_and_compared():
    newer = dataclasses.replace(CONDITIONS, runtime_version="2.4.0")
    comparison = compare(benchmark(), benchmark(conditions=(newer,), notes={"host": "arm64 other"}))
    told = " ".join(comparison.remarks())
    assert "tflite was 2.3.0 and is 2.4.0" in told
    assert "x86_64 fake and is arm64 other" in told
    assert compare(benchmark(), benchmark()).remarks() == []


@pytest.mark.parametrize("threshold", [0, -0.05, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(InvalidInputError, match="threshold"):
        compare(benchmark(), benchmark(), threshold=threshold)


@pytest.mark.parametrize(
    ("ms", "ratios"), [((), ()), ((1.0,), (1.0, 2.0)), ((1.0,), (float("nan"),)), ((-1.0,), (1.0,)), ((0.0,), (1.0,))]
)
def test_times_that_are_none_are_refused(ms, ratios):
    with pytest.raises(InvalidInputError):
        ProcessTimes(ms=ms, ratios=ratios)
