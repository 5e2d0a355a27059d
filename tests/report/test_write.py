"""The report as files."""

import dataclasses
import errno
import importlib.util
import io
import json
import os
import re

import pytest
from click.testing import CliRunner
from PIL import Image

from ofa_hw.cli.main import main
from ofa_hw.errors import MissingDependencyError, RunError
from ofa_hw.report import ReportFiles, write_report
from ofa_hw.report.figure_files import write_figures
from ofa_hw.report.markdown import report_markdown
from ofa_hw.report.page import report_html
from ofa_hw.report.picture import picture_specification
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from tests.lut.example import table
from tests.report.synthetic_run import make_synthetic_run

HOSTILE = '<img src=x onerror="alert(1)"></script><b>&|`*'


@pytest.fixture(scope="module")
def page(synthetic_results) -> str:
    return report_html(synthetic_results)


def markup_of(page: str) -> str:
    """Return the page without its scripts, whose libraries hold markup in their texts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def hostile(results):
    return dataclasses.replace(results, name=HOSTILE, config={**results.config, "data": {"source": HOSTILE}})


def test_the_page_stands_alone_and_is_below_two_megabytes(page):
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"<(script|link|img|iframe)", markup_of(page))
    assert not re.search(r"<script[^>]+src=", page)
    assert "default-src 'none'" in page


def test_the_page_names_every_verified_network_and_the_figures(page, synthetic_results):
    for arch_id in synthetic_results.verified["arch_id"]:
        assert f'data-network="{arch_id}"' in page
    for text in ("Accuracy against latency", "progressive shrinking", "Can the table be trusted?"):
        assert text in page


def test_names_stand_in_the_page_as_text(synthetic_results):
    page = report_html(hostile(synthetic_results))
    assert "<img" not in markup_of(page)
    assert "&lt;img" in markup_of(page)
    assert page.count("</script>") == 3


def test_names_stand_in_markdown_as_text(synthetic_results):
    text = report_markdown(hostile(synthetic_results))
    assert "<img" not in text
    assert "&lt;img" in text


def test_every_row_of_a_markdown_table_has_its_columns(synthetic_results):
    for block in report_markdown(synthetic_results).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_picture_shows_every_part_that_the_run_has(synthetic_results):
    told = json.dumps(picture_specification(synthetic_results))
    assert "var(--" not in told
    for title in ("Accuracy against latency", "Accuracy by phase of training", "Latency of whole networks"):
        assert title in told
    without = dataclasses.replace(synthetic_results, front=synthetic_results.front.iloc[:0])
    assert "Accuracy against latency" not in json.dumps(picture_specification(without))


def test_the_command_writes_all_files_and_tells_the_figures(synthetic_run, synthetic_table):
    words = ["report", "--run", str(synthetic_run.path), "--lut", str(synthetic_table), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["schema"], told["schema_version"]) == ("ofa-hw-benchmark", 1)
    written = json.loads((synthetic_run.path / "benchmark.json").read_text())
    assert written["figures"] == told["figures"]
    assert (synthetic_run.path / "summary.md").read_text().startswith("# invented\n")
    with Image.open(io.BytesIO((synthetic_run.path / "report.png").read_bytes())) as picture:
        assert picture.width > 1000


def test_each_figure_is_written_as_svg_and_png_with_its_legend(synthetic_results, tmp_path):
    written = write_figures(synthetic_results, tmp_path / "figures")
    assert {path.stem for path in written} == {
        "front", "phases", "losses", "whole-nets", "whole-net-errors", "blocks"
    }  # fmt: skip
    front = (tmp_path / "figures" / "front.svg").read_text()
    assert "verified networks" in front
    assert "var(--" not in front
    with Image.open(tmp_path / "figures" / "blocks.png") as picture:
        assert picture.width > 1000


def test_the_table_in_the_run_is_the_one_that_is_used(tmp_path):
    run = make_synthetic_run(tmp_path / "run", num_samples=10)
    (run.path / "lut").mkdir()
    table().write(run.path / "lut" / "host.csv")
    assert write_report(run).lut.device == "example"
    table().write(run.path / "lut" / "other.csv")
    assert write_report(run).lut is None


def test_a_run_that_holds_nothing_says_how_to_begin_and_leaves_no_file(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"space": get_space("fashion").to_dict()})
    with pytest.raises(RunError, match="ofa-hw train"):
        write_report(run)
    assert [path.name for path in run.path.iterdir()] == ["config.toml"]


def test_a_full_disk_is_one_line_and_leaves_the_old_report(synthetic_run, tmp_path, monkeypatch):
    page = tmp_path / "report.html"
    page.write_text("old")

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    result = CliRunner().invoke(main, ["report", "--run", str(synthetic_run.path), "--html", str(page)])
    assert (result.exit_code, page.read_text()) == (1, "old")
    assert result.stderr.endswith("Error: No space left on device; make room and run the same command again\n")


def test_without_altair_the_extra_is_named(synthetic_run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"ofa-hw\[report\]"):
        write_report(synthetic_run)


def test_files_lie_in_the_run_unless_they_are_named(tmp_path):
    run = RunFolder(tmp_path)
    files = ReportFiles.of(run, html=tmp_path / "other.html")
    assert files.html.name == "other.html"
    assert files.markdown == tmp_path / "summary.md"
