"""How large the report of a run is, how long it takes to build, and when a browser has drawn it.

The page is opened from disk in headless chromium, each time in a fresh profile; times are medians.

    python -m benchmarks.report --run runs/demo
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks.note import write_note
from ofa_hw.report import ReportFiles
from ofa_hw.run import RunFolder

COLUMNS = ("figure", "value", "at most")
PAINT = "performance.getEntriesByType('paint').find(entry => entry.name === 'first-contentful-paint').startTime"


@click.command()
@click.option("--run", type=click.Path(path_type=Path), help="The run.  [default: the last]")
@click.option("--repeats", default=5, show_default=True, help="How often the page is built and opened.")
def main(run: Path | None, repeats: int) -> None:
    """Build the report anew and open it, several times over."""
    folder = RunFolder.open(run)
    page = ReportFiles.of(folder).html
    build_s = statistics.median(_build(folder) for _ in range(repeats))
    opened = [_open(page) for _ in range(repeats)]
    paint_s, drawn_s = (statistics.median(times) for times in zip(*opened, strict=True))
    rows = [
        ("size of report.html", f"{page.stat().st_size / 1e6:.2f} MB", "2 MB"),
        ("`ofa-hw report`, from the shell and back", f"{build_s:.1f} s", "10 s"),
        ("first paint with content in chromium", f"{paint_s:.2f} s", "1.5 s"),
        ("every chart drawn", f"{drawn_s:.2f} s", ""),
    ]
    write_note("report", __doc__, COLUMNS, rows)


def _build(run: RunFolder) -> float:
    begin = time.perf_counter()
    program = "from ofa_hw.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "report", "--run", str(run.path)], check=True, capture_output=True)
    return time.perf_counter() - begin


def _open(page: Path) -> tuple[float, float]:
    """Return when the page is painted first and when all its charts are drawn, in seconds from its request."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("html[data-drawn=yes]")
        drawn_ms = tab.evaluate("performance.now()")
        paint_ms = tab.evaluate(PAINT)
        browser.close()
    return paint_ms / 1000, drawn_ms / 1000


if __name__ == "__main__":
    main()
