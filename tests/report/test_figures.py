"""The figures of a run."""

import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.bench import Metric
from ofa_hw.errors import RunError
from ofa_hw.report.figures import figures_of, note_figure, noted_figures
from ofa_hw.report.fronts import wilson_interval
from ofa_hw.report.rounding import count, milliseconds, percent, points, relative, seconds
from ofa_hw.run import RunFolder


def test_wilson_interval_matches_a_published_value():
    # Newcombe 1998, table I: 81 of 263, method 3.
    low, high = wilson_interval(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_wilson_interval_holds_the_share_and_stays_within_0_and_1(share, num):
    fraction = round(share * num) / num
    low, high = wilson_interval(fraction, num)
    assert 0 <= low <= fraction + 1e-12
    assert fraction - 1e-12 <= high <= 1


def test_figures_match_their_tables_by_hand(synthetic_results):
    figures = {figure.name: figure for figure in figures_of(synthetic_results)}
    nets = synthetic_results.whole_nets
    errors = sorted(abs(row.predicted_ms / row.measured_ms - 1) for row in nets.itertuples())
    assert figures["whole_net_latency_median_error"].value == pytest.approx(errors[12])
    assert figures["whole_net_latency_worst_error"].value == pytest.approx(errors[-1])
    assert figures["whole_net_latency_worst_error"].num == 25
    verified = synthetic_results.verified
    gains = [row.test_top1 - row.test_top1_before for row in verified.itertuples()]
    assert figures["verified_top1_gain"].value == pytest.approx(sum(gains) / 5)
    assert figures["val_top1_largest"].value == pytest.approx(0.889)
    assert figures["predictor_kendall_tau"].value == 0.81


def test_names_of_figures_are_unique(synthetic_results):
    names = [figure.name for figure in figures_of(synthetic_results)]
    assert len(names) == len(set(names))


def test_a_run_without_files_has_no_figures(synthetic_results, tmp_path):
    empty = pd.DataFrame()
    bare = dataclasses.replace(
        synthetic_results,
        path=tmp_path,
        phases=empty,
        samples=empty,
        front=None,
        verified=empty,
        whole_nets=empty,
        predictor={},
    )
    assert figures_of(bare) == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (percent(0.8812), "88.1 %"),
        (points(0.0123), "+1.2"),
        (milliseconds(0.4123), "0.412"),
        (milliseconds(0.03213), "0.0321"),
        (milliseconds(2.345), "2.35"),
        (milliseconds(23.45), "23.4"),
        (milliseconds(234.5), "234"),
        (relative(0.968), "-3.2 %"),
        (count(1_648_000_000), "1.6 billion"),
        (count(5_411_904), "5.4 million"),
        (count(13_834), "13,834"),
        (count(5.4e20), "5.4e+20"),
        (seconds(42.4), "42 s"),
        (seconds(432), "7 min 12 s"),
    ],
)
def test_numbers_are_printed_as_a_person_reads_them(told, expected):
    assert told == expected


def test_a_noted_figure_reads_back_and_the_last_of_a_name_counts(tmp_path):
    run = RunFolder(tmp_path)
    first = Metric(name="demo_seconds", title="The demo", value=500.0, unit="s", smaller_is_better=True)
    last = dataclasses.replace(first, value=420.0)
    other = dataclasses.replace(first, name="peak_memory_gb", unit="GB", value=1.7)
    for figure in (first, other, last):
        note_figure(run, figure)
    assert noted_figures(tmp_path) == [last, other]


@pytest.mark.parametrize(
    "line", ['{"name": "a"}', '{"name": "a", "title": "", "value": "x", "unit": "", "smaller_is_better": true}']
)
def test_a_line_that_is_no_figure_is_named(tmp_path, line):
    (tmp_path / "figures.jsonl").write_text(line + "\n")
    with pytest.raises(RunError, match="line 1"):
        noted_figures(tmp_path)
