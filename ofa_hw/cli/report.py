"""`ofa-hw report`: the report of a run, as a page, a picture, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import json_option

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--run",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    multiple=True,
    help="Folder of the run; given again, further runs to show beside it.  [default: the last run below runs/]",
)
@click.option("--html", type=_FILE, help="The page.  [default: report.html in the run]")
@click.option("--png", type=_FILE, help="The picture.  [default: report.png in the run]")
@click.option("--markdown", type=_FILE, help="The tables.  [default: summary.md in the run]")
@click.option("--benchmark-json", type=_FILE, help="The figures.  [default: benchmark.json in the run]")
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for each figure as SVG and PNG.  [default: none]",
)
@click.option(
    "--lut",
    "luts",
    type=_FILE,
    multiple=True,
    help="The table that was searched with; given again, further devices.  [default: those that the front names]",
)
@click.option("--baseline", type=_FILE, help="An earlier benchmark.json to compare with.  [default: none]")
@json_option
def command(
    runs: tuple[Path, ...], luts: tuple[Path, ...], baseline: Path | None, as_json: bool, **files: Path | None
) -> None:
    """Make the report of a run, or of several, from whatever they hold by now.

    The page opens from disk and fetches nothing. Parts whose files are missing are left out, and the command that
    makes each is named.

    \b
    Example:
      ofa-hw report --run runs/demo
      ofa-hw report --run runs/mine --lut lut/host.csv --lut lut/pixel.csv --html report.html
    """
    from ofa_hw.report import ReportFiles, write_report
    from ofa_hw.report.figures import figures_of
    from ofa_hw.report.job_summary import told_value
    from ofa_hw.report.run_benchmark import benchmark_of
    from ofa_hw.run import RunFolder

    folder = RunFolder.open(runs[0] if runs else None)
    written = ReportFiles.of(folder, **files)
    with show_progress() as progress:
        results = write_report(
            folder,
            written,
            lut=luts[0] if luts else None,
            other_luts=luts[1:],
            others=[RunFolder.open(other) for other in runs[1:]],
            baseline=baseline,
            progress=progress,
        )
    for part in results.missing:
        remark(f"No {part.what} yet: {part.command}")
    if as_json:
        print_json(benchmark_of(results) | {"files": _names(written)})
        return
    print_facts([(figure.title, told_value(figure)) for figure in figures_of(results)], title=results.name)
    print_facts(_names(written).items(), title="written")


def _names(files: Any) -> dict[str, str]:
    paths = {"page": files.html, "picture": files.png, "tables": files.markdown, "figures": files.benchmark_json}
    return {name: str(path) for name, path in (paths | {"drawings": files.figures}).items() if path}
