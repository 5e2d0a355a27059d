"""An earlier benchmark.json, and how the run compares with it."""

from __future__ import annotations

import math
from pathlib import Path

from ofa_hw.bench import Benchmark, Metric, read_benchmark
from ofa_hw.bench.benchmark import require_comparable
from ofa_hw.report.document import Column, Row, Section, Table
from ofa_hw.report.figures import figures_of
from ofa_hw.report.job_summary import told_value
from ofa_hw.report.results import RunResults
from ofa_hw.report.run_benchmark import as_benchmark


def read_baseline(path: Path, results: RunResults) -> Benchmark:
    """Return the baseline at `path`, which must be of the space and, where both tell them, the conditions of `results`.

    Raises:
        RunError: the file is damaged, of another schema, or of something that cannot be compared; all that differs is
            named.
    """
    baseline = read_benchmark(path)
    require_comparable(baseline, as_benchmark(results), path=path)
    return baseline


def baseline_section(results: RunResults, baseline: Benchmark) -> Section:
    """Return every figure of the run beside the baseline's; those that only one of them has are told as missing."""
    figures = figures_of(results)
    before = {figure.name: figure for figure in baseline.figures}
    missing = [figure for name, figure in before.items() if name not in {figure.name for figure in figures}]
    rows = [_row(figure, before.get(figure.name)) for figure in figures]
    rows += [Row(cells=(figure.title, told_value(figure), "missing", "", "")) for figure in missing]
    titles = ("figure", "baseline", "now", "change", "")
    return Section(
        anchor="baseline",
        title="Against the baseline",
        about=(
            "Figures of this run beside those of an earlier one. A change is told as it is: latencies of another day "
            "differ by the machine's mood, accuracies by the seed."
        ),
        tables=(
            Table(
                name="baseline",
                title=f"Run {baseline.name}, then and now",
                columns=tuple(Column(title=title, is_number=0 < index < 4) for index, title in enumerate(titles)),
                rows=tuple(rows),
            ),
        ),
    )


def _row(figure: Metric, before: Metric | None) -> Row:
    if before is None:
        return Row(cells=(figure.title, "missing", told_value(figure), "", ""))
    change = figure.value - before.value
    if figure.unit == "fraction":
        text = f"{100 * change:+.1f} points"
    else:
        text = f"{100 * change / before.value:+.1f} %" if before.value else f"{change:+.3g}"
    return Row(cells=(figure.title, told_value(before), told_value(figure), text, _verdict(figure, change)))


def _verdict(figure: Metric, change: float) -> str:
    if math.isclose(change, 0, abs_tol=1e-12):
        return "same"
    return "better" if (change < 0) == figure.smaller_is_better else "worse"
