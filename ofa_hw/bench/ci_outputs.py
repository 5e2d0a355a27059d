"""Benchmarks and comparisons in the formats of other tools: github-action-benchmark, Bencher, JUnit, Markdown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ofa_hw import markdown
from ofa_hw.bench.benchmark import Benchmark
from ofa_hw.bench.comparison import Change, Comparison, Verdict
from ofa_hw.bench.metric import Metric
from ofa_hw.markdown import escaped

BENCHMARK_COLUMNS = ("what", "runtime", "value", "to the reference", "marks")
COMPARISON_COLUMNS = ("what", "runtime", "before", "now", "change", "95 % interval", "verdict", "marks")

_NS_PER_MS = 1e6


def github_action_rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Return the figures of which less is better as github-action-benchmark's `customSmallerIsBetter`.

    A timed figure has two rows: milliseconds, and the ratio to the reference model, which is the same on a slower
    machine.
    """
    rows: list[dict[str, Any]] = []
    for figure in benchmark.figures:
        if not figure.smaller_is_better:
            continue
        if figure.times is None:
            # Not timed, so that there is no interval and no ratio.
            rows.append({"name": figure.title, "unit": figure.unit, "value": figure.value})
            continue
        for name, unit, values in (
            (figure.title, figure.unit, figure.times.ms),
            (f"{figure.title} / reference", "ratio", figure.times.ratios),
        ):
            middle, low, high = interval(values)
            extra = f"{figure.runtime}, {len(values)} processes, {figure.num} runs"
            rows.append(
                {"name": name, "unit": unit, "value": middle, "range": f"± {(high - low) / 2:.2g}", "extra": extra}
            )
    return rows


def bencher_metrics(benchmark: Benchmark) -> dict[str, dict[str, dict[str, float]]]:
    """Return the figures in Bencher's metric format: `latency` in nanoseconds, and the ratio to the reference."""
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for figure in benchmark.figures:
        if figure.times is None:
            metrics[figure.name] = {figure.unit or "value": {"value": figure.value}}
            continue
        metrics[figure.name] = {
            "latency": _metric(tuple(ms * _NS_PER_MS for ms in figure.times.ms)),
            "latency-to-reference": _metric(figure.times.ratios),
        }
    return metrics


def interval(values: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the mean over processes and its 95 % interval (Student's t); for one process three equal values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / len(values) ** 0.5)
    return mean, mean - half, mean + half


def junit_xml(benchmark: Benchmark, comparison: Comparison | None = None) -> str:
    """Return JUnit's XML, a test case for each figure.

    What became slower has failed. What is undecided, or only on one side, is skipped, with its verdict as the reason.
    """
    changes = comparison.changes if comparison else tuple(_alone(figure) for figure in benchmark.figures)
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=_xml_text(benchmark.name), timestamp=benchmark.made_at)
    counts = {"tests": len(changes), "failures": 0, "errors": 0, "skipped": 0}
    for change in changes:
        figure = change.figure
        case = ET.SubElement(
            suite, "testcase", classname=_xml_text(figure.runtime or benchmark.name), name=_xml_text(figure.title)
        )
        if figure.unit in _SECONDS_PER:
            case.set("time", f"{figure.value * _SECONDS_PER[figure.unit]:.9f}")
        outcome = _OUTCOMES.get(change.verdict) if comparison else None
        if outcome:
            # JUnit's attribute is plural where its element is not.
            counts[{"failure": "failures"}.get(outcome, outcome)] += 1
            ET.SubElement(case, outcome, message=_xml_text(told_change(change)))
        elif comparison:
            ET.SubElement(case, "system-out").text = _xml_text(told_change(change))
    for name, count in counts.items():
        suite.set(name, str(count))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


_SECONDS_PER = {"ms": 1e-3, "s": 1.0}
_OUTCOMES = {
    Verdict.SLOWER: "failure",
    Verdict.UNCLEAR: "skipped",
    Verdict.MISSING: "skipped",
    Verdict.NEW: "skipped",
    Verdict.NO_INTERVAL: "skipped",
}


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison for a job's summary or a pull request; names are escaped."""
    is_number = (False, False, True, True, True, True, False, False)
    rows = [[escaped(cell) for cell in row] for row in comparison_rows(comparison)]
    what = "milliseconds" if comparison.is_absolute else "multiples of the reference model, timed in the same rounds"
    about = (
        f"Compared are {what}. Slower is what surely takes over {100 * comparison.threshold:g} % longer; no change, "
        "what surely stays within that; not enough evidence, what may be either."
    )
    parts = [
        f"## {escaped(comparison.now.name)}: {escaped(summary(comparison))}",
        markdown.table(COMPARISON_COLUMNS, is_number, rows),
        about,
        *(escaped(remark) for remark in comparison.remarks()),
    ]
    return "\n\n".join(parts) + "\n"


def benchmark_markdown(benchmark: Benchmark) -> str:
    """Return the figures of a benchmark as a table; names are escaped."""
    rows = [[escaped(cell) for cell in row] for row in benchmark_rows(benchmark)]
    table = markdown.table(BENCHMARK_COLUMNS, (False, False, True, True, False), rows)
    return f"## {escaped(benchmark.name)}\n\n{table}\n"


def benchmark_rows(benchmark: Benchmark) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the cells of `BENCHMARK_COLUMNS` for each figure."""
    for figure in benchmark.figures:
        ratio = f"{interval(figure.times.ratios)[0]:.4g}" if figure.times else ""
        yield figure.title, figure.runtime, _told(figure), ratio, figure.marks


def comparison_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the cells of `COMPARISON_COLUMNS` for each figure."""
    for change in comparison.changes:
        ratio, ends = _percent(change.ratio), ""
        if change.low is not None and change.high is not None:
            ends = f"{_percent(change.low)} to {_percent(change.high)}"
        figure = change.figure
        sides = _told(change.before), _told(change.now)
        yield figure.title, figure.runtime, *sides, ratio, ends, change.verdict.value, figure.marks


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return the changes with their intervals and verdicts as plain values, for a script."""
    return {
        "before": comparison.before.name,
        "now": comparison.now.name,
        "threshold": comparison.threshold,
        "is_absolute": comparison.is_absolute,
        "changes": [
            {
                "name": change.figure.name,
                "verdict": change.verdict.value,
                "ratio": change.ratio,
                "low": change.low,
                "high": change.high,
                "before": change.before.value if change.before else None,
                "now": change.now.value if change.now else None,
                "unit": change.figure.unit,
            }
            for change in comparison.changes
        ],
        "remarks": comparison.remarks(),
    }


def summary(comparison: Comparison) -> str:
    """Return how many figures came to which verdict, in one line."""
    counts = [(verdict, len(comparison.of(verdict))) for verdict in Verdict]
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts if count)


def told_change(change: Change) -> str:
    """Return the verdict of a change with its numbers, in one line."""
    if change.ratio is None or change.low is None or change.high is None:
        return change.verdict.value
    return (
        f"{change.verdict.value}: {_percent(change.ratio)}, 95 % interval {_percent(change.low)} to "
        f"{_percent(change.high)}; {_told(change.before)} before, {_told(change.now)} now"
    )


def _alone(figure: Metric) -> Change:
    return Change(before=None, now=figure, verdict=Verdict.NEW)


def _metric(values: tuple[float, ...]) -> dict[str, float]:
    middle, low, high = interval(values)
    return {"value": middle, "lower_value": low, "upper_value": high}


def _told(figure: Metric | None) -> str:
    return f"{figure.value:.4g} {figure.unit}".strip() if figure else ""


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * (ratio - 1):+.1f} %"


def _xml_text(text: str) -> str:
    """Return `text` without the characters that XML cannot hold."""
    return "".join(
        character if character.isprintable() or character in "\t\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
