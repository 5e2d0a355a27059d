"""The formats of others hold what they ask for, and no name breaks them."""

import re
import xml.etree.ElementTree as ET

import pytest

from ofa_hw.bench import Metric, compare
from ofa_hw.bench import ci_outputs as outputs
from tests.bench.example import benchmark, figure

NASTY = "<script>alert('x')</script> | \"q\" & `c`"
TOP1 = Metric(name="top1", title="Top-1", value=0.9, unit="fraction", smaller_is_better=False)
SECONDS = Metric(name="train", title="Training", value=12.5, unit="s", smaller_is_better=True)


@pytest.fixture
def comparison():
    before = benchmark(figure("same"), figure("slow"), figure("noisy"), figure("gone"), figure(NASTY), TOP1)
    slow, noisy = figure("slow", ratio=2.4), figure("noisy", spread=0.3)
    return compare(before, benchmark(figure("same", seed=5), slow, noisy, figure("fresh"), figure(NASTY), TOP1))


def test_github_action_gets_times_and_ratios_of_which_less_is_better():
    rows = outputs.github_action_rows(benchmark(figure("model"), TOP1, SECONDS))
    assert [(row["name"], row["unit"]) for row in rows] == [
        ("model", "ms"),
        ("model / reference", "ratio"),
        ("Training", "s"),
    ]
    assert rows[0]["value"] == pytest.approx(1.0, rel=0.01)
    assert re.fullmatch(r"± \d\.\d+(e-\d+)?", rows[0]["range"])
    assert all(isinstance(row["value"], float) for row in rows)


def test_bencher_gets_nanoseconds_with_their_interval():
    metrics = outputs.bencher_metrics(benchmark(figure("model"), TOP1))
    latency = metrics["model"]["latency"]
    assert latency["lower_value"] < latency["value"] < latency["upper_value"]
    assert latency["value"] == pytest.approx(1e6, rel=0.01)
    assert metrics["model"]["latency-to-reference"]["value"] == pytest.approx(2, rel=0.01)
    assert metrics["top1"] == {"fraction": {"value": 0.9}}


def test_junit_tells_failed_undecided_and_passed_apart(comparison):
    suite = ET.fromstring(outputs.junit_xml(comparison.now, comparison)).find("testsuite")
    outcomes = {case.get("name"): [child.tag for child in case] for case in suite}
    assert outcomes["slow"] == ["failure"]
    assert outcomes["noisy"] == outcomes["gone"] == outcomes["fresh"] == ["skipped"]
    assert outcomes["same"] == outcomes[NASTY] == ["system-out"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("7", "1", "4")
    message = next(case for case in suite if case.get("name") == "slow")[0].get("message")
    assert re.match(r"slower: \+\d+\.\d %, 95 % interval \+\d+\.\d % to \+\d+\.\d %; .* ms before, .* ms now", message)


def test_junit_without_a_baseline_is_a_list_of_times():
    suite = ET.fromstring(outputs.junit_xml(benchmark())).find("testsuite")
    assert [(case.get("name"), len(case)) for case in suite] == [("model", 0)]
    assert float(suite[0].get("time")) == pytest.approx(0.001, rel=0.01)


def test_characters_that_xml_cannot_hold_are_replaced():
    text = outputs.junit_xml(benchmark(figure("a", title="bell\x07 and \x00 null")))
    assert "bell\N{REPLACEMENT CHARACTER}" in ET.fromstring(text)[0][0].get("name")


def test_names_are_escaped_in_markdown_and_xml(comparison):
    markdown = outputs.comparison_markdown(comparison)
    assert "<script>" not in markdown + outputs.junit_xml(comparison.now, comparison)
    assert "<script>" not in outputs.benchmark_markdown(comparison.now)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {len(outputs.COMPARISON_COLUMNS) + 1}


def test_markdown_leads_with_the_verdicts(comparison):
    first = outputs.comparison_markdown(comparison).splitlines()[0]
    assert first == "## suite: 1 slower, 2 no change, 1 not enough evidence, 1 no interval, 1 missing, 1 new"


def test_json_of_a_comparison_holds_ratio_interval_and_verdict(comparison):
    slow = outputs.comparison_json(comparison)["changes"][1]
    assert slow["verdict"] == "slower"
    assert slow["low"] < slow["ratio"] < slow["high"]
