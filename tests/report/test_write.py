"""The report as files."""

import dataclasses
import errno
import importlib.util
import io
import json
import os
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ofa_hw.cli.main import main
from ofa_hw.errors import MissingDependencyError, RunError
from ofa_hw.report import ReportFiles, write_report
from ofa_hw.report.figure_files import write_figures
from ofa_hw.report.fronts import device_fronts
from ofa_hw.report.job_summary import report_markdown
from ofa_hw.report.network_cards import network_cards
from ofa_hw.report.page import report_html
from ofa_hw.report.picture import picture_specification
from ofa_hw.report.results import read_results
from ofa_hw.report.rounding import percent
from ofa_hw.report.summary import commands_of, provenance_of
from ofa_hw.report.theme import LIGHT
from ofa_hw.run import Command, RunFolder
from ofa_hw.search.front import FrontLimit, FrontTable
from ofa_hw.search.tables import known_tables
from ofa_hw.space import ArchConfig, get_space
from tests.lut.example import table
from tests.report.synthetic_run import _verified_row, _write_csv, make_synthetic_run
from tests.search import example as search_example

HOSTILE = '<img src=x onerror="alert(1)"></script><b>&|`*'


@pytest.fixture(scope="module")
def page(synthetic_results) -> str:
    return report_html([synthetic_results])


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
    page = report_html([hostile(synthetic_results)])
    assert "<img" not in markup_of(page)
    assert "&lt;img" in markup_of(page)
    assert page.count("</script>") == 3


def test_names_stand_in_markdown_as_text(synthetic_results):
    text = report_markdown([hostile(synthetic_results)])
    assert "<img" not in text
    assert "&lt;img" in text


def test_every_row_of_a_markdown_table_has_its_columns(synthetic_results):
    for block in report_markdown([synthetic_results]).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_picture_shows_every_part_that_the_run_has(synthetic_results):
    told = json.dumps(picture_specification([synthetic_results]))
    assert "var(--" not in told
    for title in ("Accuracy against latency", "Accuracy by phase of training", "Latency of whole networks"):
        assert title in told
    without = dataclasses.replace(synthetic_results, front=None)
    assert "Accuracy against latency" not in json.dumps(picture_specification([without]))


def test_training_of_one_phase_is_told_as_such(synthetic_results):
    phases = synthetic_results.phases.query("index == 0")
    results = dataclasses.replace(synthetic_results, phases=phases)
    text, page = report_markdown([results]), report_html([results])
    assert "Training with all choices open" in text
    assert "1 phase, " in page
    assert "rogressive shrinking" not in text
    assert "rogressive shrinking" not in page
    told = json.dumps(picture_specification([results]))
    assert "Loss of training" in told
    assert "Accuracy by phase" not in told


def test_the_command_writes_all_files_and_tells_the_figures(synthetic_run, synthetic_table):
    words = ["report", "--run", str(synthetic_run.path), "--lut", str(synthetic_table), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["schema"] == "ofa-hw-benchmark"
    written = json.loads((synthetic_run.path / "benchmark.json").read_text())
    assert written["figures"] == told["figures"]
    assert (synthetic_run.path / "summary.md").read_text().startswith("# invented\n")
    with Image.open(io.BytesIO((synthetic_run.path / "report.png").read_bytes())) as picture:
        assert picture.width > 1000


def test_each_figure_is_written_as_svg_and_png_with_its_legend(synthetic_results, tmp_path):
    written = write_figures([synthetic_results], tmp_path / "figures")
    assert {path.stem for path in written} == {
        "front", "tuning", "phases", "losses", "held-out", "learning", "whole-nets", "whole-net-errors", "blocks"
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
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: No space left on device; make room and go on with: ofa-hw report --run")


def test_without_altair_the_extra_is_named(synthetic_run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"\[report\]"):
        write_report(synthetic_run)


def test_files_lie_in_the_run_unless_they_are_named(tmp_path):
    run = RunFolder(tmp_path)
    files = ReportFiles.of(run, html=tmp_path / "other.html")
    assert files.html.name == "other.html"
    assert files.markdown == tmp_path / "summary.md"


@pytest.fixture(scope="module")
def second_results(tmp_path_factory, synthetic_table):
    run = make_synthetic_run(tmp_path_factory.mktemp("runs") / "other", num_samples=20, seed=3)
    run.note_command("ofa-hw search --run other --max-latency 2ms", "0.1.0")
    phone = run.path / "phone.csv"
    phone.write_text(synthetic_table.read_text().replace("example", "phone"))
    return read_results(run, lut=synthetic_table, other_luts=[phone])


def test_several_runs_and_devices_stand_in_one_chart_each_in_its_colour(synthetic_results, second_results):
    runs = [synthetic_results, second_results]
    fronts = device_fronts(runs)
    assert [front.name for front in fronts] == ["invented on example", "other on example", "other on phone"]
    assert all(map(str.startswith, fronts[1].verified["arch_id"], fronts[1].verified["label"]))
    assert len({label for front in fronts for label in front.verified["label"]}) == 10
    assert len(fronts[2].verified) == 0
    assert fronts[2].front["latency"].is_monotonic_increasing
    told = json.dumps(picture_specification(runs))
    assert LIGHT["device-0"] in told
    assert LIGHT["device-1"] in told


def test_each_device_has_the_front_that_was_searched_for_it(tmp_path, synthetic_table):
    run = make_synthetic_run(tmp_path / "run", num_samples=5)
    own = run.front_path.read_text().splitlines()
    (run.path / "pareto-example.csv").write_text("\n".join(own[:4]) + "\n")
    results = read_results(run, lut=synthetic_table, other_luts=[synthetic_table])
    assert [len(front.front) for front in device_fronts([results])] == [3, 3]
    cards = network_cards([results])
    told = cards[results.front.archs[0].arch_id]
    assert "latency on example predicted, ms" in told.facts
    assert f"--pick {results.front.archs[0].arch_id} " in told.export_command
    assert len(device_fronts([read_results(run, lut=synthetic_table)])[0].front) == len(own) - 1


def test_names_of_a_page_of_several_runs_are_unique_and_each_network_has_its_command(synthetic_results, second_results):
    page = report_html([synthetic_results, second_results])
    names = re.findall(r' id="([^"]+)"', markup_of(page))
    assert len(names) == len(set(names))
    assert "other: Training by progressive shrinking" in page
    cards = network_cards([synthetic_results, second_results])
    first, second = (
        cards[f"{place}.{results.verified['arch_id'].iloc[0]}"]
        for place, results in ((1, synthetic_results), (2, second_results))
    )
    assert str(synthetic_results.path) in first.export_command
    assert str(second_results.path) in second.export_command
    ids = [results.verified["arch_id"].iloc[0] for results in (synthetic_results, second_results)]
    assert [first.title, second.title] == [f"Network {arch_id}, verified" for arch_id in ids]
    for results in (synthetic_results, second_results):
        best = f"classifies {percent(results.verified['test_top1'].max())}".replace(" %", "\u00a0%")
        assert f"{results.name}: The most accurate of 5" in page
        assert best in page
        assert f'<span class="run">{results.name}</span>' in page


def test_tables_are_found_where_the_front_says_that_they_are(tmp_path, synthetic_table, monkeypatch):
    run = make_synthetic_run(tmp_path / "run", num_samples=5)
    front = read_results(run, lut=synthetic_table).front
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for folder in (tmp_path / "work", run.path):
        path = folder / "tables" / "example.csv"
        path.parent.mkdir()
        path.write_bytes(synthetic_table.read_bytes())
        for device, found in (("example", [path]), ("another", [])):
            told = FrontTable(name="latency", device=device, file="tables/example.csv")
            dataclasses.replace(front, tables=(told,)).write(run.front_path)
            assert [table.resolve() for table in known_tables(run)] == found
        path.unlink()


def test_the_front_of_each_device_shows_its_limits_the_robust_front_and_what_was_verified_there(tmp_path):
    folder = search_example.run(tmp_path / "run")
    luts = []
    for device, kernels in (("phone", 1.0), ("board", 3.0)):
        luts.append(tmp_path / f"{device}.csv")
        search_example.table(device, large_kernels=kernels).write(luts[-1])
    words = [word for lut in luts for word in ("--lut", str(lut))]
    limits = ("--max-latency", "phone=0.5ms", "--max-latency", "board=0.9ms", "--evaluations", "1000")
    result = CliRunner().invoke(main, ["search", "--run", str(folder.path), *words, *limits])
    assert result.exit_code == 0, result.output
    space, rng = search_example.SPACE, np.random.default_rng(0)
    archs = read_results(folder).front.archs
    rows = [
        _verified_row(space, archs[index], rng) | {"device": device} for index, device in ((0, "phone"), (5, "board"))
    ]
    _write_csv(folder.verified_path, rows)
    tables = known_tables(folder)
    assert tables == luts
    results = read_results(folder, lut=tables[0], other_luts=tables[1:])
    fronts = device_fronts([results])
    assert [(front.name, dict(front.limits)) for front in fronts] == [
        ("phone", {"latency": 0.5}),
        ("board", {"latency": 0.9}),
    ]
    for front, priced, row in zip(fronts, (results.lut, *results.other_tables), rows, strict=True):
        assert list(front.verified["arch_id"]) == [row["arch_id"]]
        robust = space.encode(map(ArchConfig.from_json, front.robust["arch"]))
        assert len(robust) > 5
        np.testing.assert_allclose(front.robust["latency"], priced.latency_ms(space, robust))
        assert front.robust["latency"].max() <= front.limits["latency"]
    assert "A dashed line is" in report_html([results])


def test_commands_and_limits_stand_where_the_files_come_from(second_results):
    limits = (FrontLimit(name="latency", bound=0.25), FrontLimit(name="top1", bound=0.8))
    front = dataclasses.replace(second_results.front, limits=limits)
    shown = dataclasses.replace(second_results, front=front)
    page = report_html([shown])
    assert "ofa-hw search --run other --max-latency 2ms" in page
    assert "dashed where it is near: latency at most 0.250 ms on example and accuracy at least 80.0 %." in page
    assert "ofa-hw search --run other" in report_markdown([shown])


def test_the_command_line_takes_several_runs(synthetic_run, tmp_path):
    other = make_synthetic_run(tmp_path / "other", num_samples=5)
    words = ["report", "--run", str(other.path), "--run", str(synthetic_run.path)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (other.path / "summary.md").read_text().startswith("# other, invented\n")


def test_a_run_tells_the_commands_that_ended_well_on_it(synthetic_run, tmp_path):
    run = make_synthetic_run(tmp_path / "run", num_samples=20)
    result = CliRunner().invoke(main, ["fit", "--run", str(run.path), "--model", "ridge"])
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(main, ["fit", "--run", str(run.path / "none")]).exit_code == 1
    assert [entry.command for entry in run.commands] == [f"ofa-hw fit --run {run.path} --model ridge"]
    run.commands_path.write_text('{"word": "x"}\n')
    with pytest.raises(RunError, match="line 1"):
        _ = run.commands


def test_the_commands_of_tables_stand_among_those_of_the_run(synthetic_results):
    notes = {
        "profile_command": "ofa-hw profile --device example",
        "calibrate_command": "ofa-hw calibrate --lut example.csv",
        "calibrated_at": "2026-01-31T13:00:00+00:00",
    }
    run_command = Command(command="ofa-hw train", tool_version="0.1.0", ended_at="2026-01-30T00:00:00+00:00")
    searched = Command(command="ofa-hw search", tool_version="0.1.0", ended_at="2026-02-01T00:00:00+00:00")
    other = dataclasses.replace(synthetic_results.lut, notes={})
    shown = dataclasses.replace(
        synthetic_results,
        lut=dataclasses.replace(synthetic_results.lut, notes=notes),
        other_tables=(other,),
        commands=(run_command, searched),
    )
    told = [run_command.command, notes["profile_command"], notes["calibrate_command"], searched.command]
    assert [entry.command for entry in commands_of(shown)] == told
    page, text = report_html([shown]), report_markdown([shown])
    assert all(command in page and command in text for command in told)
    # Of a table that does not tell its command stands what its head tells.
    facts = dict(provenance_of(dataclasses.replace(shown, lut=other, other_tables=())))
    assert facts["table: command"] == "was not kept"
    assert facts["table: device"] == "example"
    assert facts["table: measured at"] == "2026-01-31T12:00:00+00:00"
