"""Writing the report: every file of it whole or not at all."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ofa_hw.errors import MissingDependencyError, how_to_install
from ofa_hw.files import write_bytes, write_json, write_text
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.report.baseline import baseline_section, read_baseline
from ofa_hw.report.job_summary import report_markdown
from ofa_hw.report.results import RunResults, read_results
from ofa_hw.report.run_benchmark import benchmark_of
from ofa_hw.run import RunFolder
from ofa_hw.search.tables import known_tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where each form of the report goes."""

    html: Path
    png: Path
    markdown: Path
    benchmark_json: Path
    figures: Path | None = None
    """A folder for each figure as SVG and PNG; None for none."""

    @classmethod
    def of(
        cls,
        run: RunFolder,
        *,
        html: Path | None = None,
        png: Path | None = None,
        markdown: Path | None = None,
        benchmark_json: Path | None = None,
        figures: Path | None = None,
    ) -> ReportFiles:
        """Return the files of `run`: report.html, report.png, summary.md, benchmark.json, or those that are given."""
        return cls(
            html=html or run.path / "report.html",
            png=png or run.path / "report.png",
            markdown=markdown or run.path / "summary.md",
            benchmark_json=benchmark_json or run.path / "benchmark.json",
            figures=figures,
        )


def write_report(
    run: RunFolder,
    files: ReportFiles | None = None,
    *,
    lut: Path | None = None,
    other_luts: Sequence[Path] = (),
    others: Sequence[RunFolder] = (),
    baseline: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> RunResults:
    """Write every form of the report of `run` and return what it tells.

    `baseline` is an earlier benchmark.json to compare with; `lut` the table that places sampled subnets on the axis of
    latency, None those that `known_tables` finds. `other_luts` show the same networks on further devices; `others` are
    runs to show beside this one, each with its own tables. benchmark.json is of `run`.

    Raises:
        RunError: the run holds nothing to draw, a file of it is damaged, or the baseline cannot be compared with it.
        MissingDependencyError: altair or vl-convert-python is not installed.
    """
    for package in ("altair", "vl_convert"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"a report needs {package}; install it by `{how_to_install('report')}`")

    from ofa_hw.report.figure_files import write_figures
    from ofa_hw.report.page import report_html
    from ofa_hw.report.picture import report_png

    files = files or ReportFiles.of(run)
    progress("report", 0, 4)
    found = [lut, *other_luts] if lut else known_tables(run)
    results = read_results(run, lut=next(iter(found), None), other_luts=found[1:])
    runs = [results]
    for other in others:
        found = known_tables(other)
        runs.append(read_results(other, lut=next(iter(found), None), other_luts=found[1:]))
    comparison = baseline_section(results, read_baseline(baseline, results)) if baseline else None
    progress("report", 1, 4)
    picture = report_png(runs)
    progress("report", 2, 4)
    page = report_html(runs, comparison)
    progress("report", 3, 4)
    write_bytes(files.png, picture)
    write_text(files.html, page)
    write_text(files.markdown, report_markdown(runs, comparison))
    write_json(files.benchmark_json, benchmark_of(results))
    if files.figures:
        write_figures(runs, files.figures)
    progress("report", 4, 4)
    return results
