"""The report of a front of whatever objectives."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from ofa_hw.report.fronts import axes_of, comparable, device_fronts, is_level
from ofa_hw.report.job_summary import report_markdown
from ofa_hw.report.network_cards import network_cards
from ofa_hw.report.page import report_html
from ofa_hw.report.picture import picture_specification
from ofa_hw.report.results import read_results
from ofa_hw.report.sections.trade_off import trade_off_section
from ofa_hw.report.summary import lead_of, tiles_of
from ofa_hw.run import RunFolder
from tests.report.synthetic_run import _verified_row, _write_csv
from tests.search import example

TOP1, MACS, PARAMS, MEMORY = (("--objective", name) for name in ("top1", "macs", "params", "peak_memory"))
LATENCY = ("--objective", "latency", "--lut", "phone.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trade-off")
    example.run(path / "run")
    for device, kernels in (("phone", 1.0), ("board", 2.0)):
        example.table(device, large_kernels=kernels).write(path / f"{device}.csv")
    return path


@pytest.fixture
def search(folder, monkeypatch):
    """Search with these words, and return the run."""
    monkeypatch.chdir(folder)

    def searched(*words):
        for old in (folder / "run").glob("pareto*.csv"):
            old.unlink()
        result = CliRunner().invoke(main, ["search", "--run", "run", "--evaluations", "600", *words])
        assert result.exit_code == 0, result.output
        return folder / "run"

    return searched


def results_of(path, *, luts=()):
    return read_results(RunFolder.open(path), lut=luts[0] if luts else None, other_luts=luts[1:])


@pytest.mark.parametrize(
    ("words", "title", "pictures", "columns"),
    [
        ((*MACS, *PARAMS), "Parameters against MACs", [""], ["MACs", "parameters"]),
        ((*TOP1, *MEMORY), "Accuracy against peak memory", [""], ["top-1 predicted", "peak memory, bytes"]),
        ((*LATENCY, *MACS), "MACs against latency", [""], ["latency predicted, ms", "MACs"]),
        (
            (*TOP1, *LATENCY, *MEMORY),
            "The front",
            ["Accuracy against latency", "Accuracy against peak memory"],
            ["top-1 predicted", "latency predicted, ms", "peak memory, bytes"],
        ),
        (
            (*MACS, *PARAMS, *MEMORY),
            "The front",
            ["Peak memory against MACs", "Peak memory against parameters"],
            ["MACs", "parameters", "peak memory, bytes"],
        ),
        (PARAMS, "MACs against parameters", [""], ["parameters", "MACs"]),
    ],
)
def test_a_front_is_drawn_by_its_own_objectives(search, words, title, pictures, columns):
    results = results_of(search(*words))
    section = trade_off_section([results])
    assert section.title == title
    assert [figure.title for figure in section.figures] == pictures
    assert [column.title for column in section.tables[-1].columns] == ["network", *columns, "architecture"]
    assert len(section.tables[-1].rows) == len(results.front)
    page, text = report_html([results]), report_markdown([results])
    assert title in page
    assert "nan" not in text.lower()
    assert json.dumps(picture_specification([results])).count('"mark"') > 2


def test_the_command_reports_a_front_without_a_latency(search, folder):
    search(*MACS, *PARAMS, "--limit", "peak_memory=32KiB", "--limit", "macs=2.5M")
    result = CliRunner().invoke(main, ["report", "--run", "run", "--figures", "figures"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    page = (folder / "run" / "report.html").read_text()
    assert "dashed where it is near: MACs at most 2,500,000 and peak memory at most 32,768 bytes." in page
    assert "parameters" in (folder / "figures" / "front.svg").read_text()


def test_samples_are_placed_by_what_is_counted(search):
    (front,) = device_fronts([results_of(search(*MACS, *PARAMS))])
    assert front.samples[["macs", "params"]].notna().all(axis=None)
    assert front.samples["params"].min() >= front.front["params"].min()
    assert not front.is_predicted


def test_limits_of_devices_are_told_for_each(search, folder):
    luts = [folder / "phone.csv", folder / "board.csv"]
    words = ("--lut", "phone.csv", "--lut", "board.csv", "--max-latency", "phone=0.5ms", "--max-latency", "board=0.9ms")
    results = results_of(search(*words), luts=luts)
    assert [front.limits["latency"] for front in device_fronts([results])] == [0.5, 0.9]
    # Without fronts of their own the networks of the robust one are priced on each device.
    (folder / "run" / "pareto-board.csv").unlink()
    phone, board = device_fronts([results_of(folder / "run", luts=luts)])
    assert [phone.limits["latency"], board.limits["latency"]] == [0.5, 0.9]
    assert board.front["latency"].is_monotonic_increasing
    assert board.front["top1"].is_monotonic_increasing


@pytest.mark.parametrize("words", [(*MACS, *PARAMS, "--limit", "top1=85%"), (*TOP1, *MEMORY)])
def test_verified_networks_stand_at_what_was_counted_and_measured(search, words):
    path = search(*words)
    rng = np.random.default_rng(0)
    archs = results_of(path).front.archs[:2]
    rows = [
        _verified_row(example.SPACE, arch, rng) | {"exported_format": "tflite-int8", "exported_test_top1": 0.5}
        for arch in archs
    ]
    _write_csv(path / "verified.csv", rows)
    try:
        results = results_of(path)
        (front,) = device_fronts([results])
        for row, net in zip(rows, front.verified.to_dict("records"), strict=True):
            exact = {figure.name: net[figure.name] for figure in front.figures if figure.source == "counted"}
            (place,) = front.front[front.front["arch_id"] == row["arch_id"]].to_dict("records")
            assert exact == {name: place[name] for name in exact}
            assert all(net[f"{name}_promised"] == value for name, value in exact.items())
            assert net.get("top1", row["val_top1"]) == row["val_top1"]
        (table, _) = trade_off_section([results]).tables
        assert "50.0 %, tflite-int8" in table.rows[0].cells
        card = network_cards([results])[archs[0].arch_id]
        assert card.title == f"Network {archs[0].arch_id}, verified"
        assert card.export_command.endswith("--format tflite-int8")
        assert "verified networks" in json.dumps(picture_specification([results]))
        assert "verified networks" in report_html([results])
    finally:
        (path / "verified.csv").unlink()


def spoken(results, **columns):
    """The results with other figures of the verified networks, which many images judged."""
    return dataclasses.replace(results, verified=results.verified.assign(num_test_images=10_000, **columns))


def test_predicted_and_verified_are_compared_on_the_same_images(synthetic_results):
    # All test figures lie far below: no point of the picture of the front does.
    apart = spoken(synthetic_results, test_top1=0.5, test_top1_before=0.4)
    front, tuning = trade_off_section([apart]).figures
    above, below = (place.chart(width=500, legend=True).to_dict() for place in (front, tuning))
    (points,) = [
        values
        for layer, values in zip(above["layer"], values_of(above), strict=True)
        if layer["mark"].get("size") == 130
    ]
    assert [point["top1"] for point in points] == pytest.approx([100 * value for value in apart.verified["val_top1"]])
    assert all(point["y_low"] < point["top1"] < point["y_high"] for point in points)
    assert above["layer"][0]["encoding"]["y"]["title"] == "top-1, validation images, %"
    assert {round(point["top1"], 6) for values in values_of(below) for point in values} == {40.0, 50.0}
    assert below["layer"][0]["encoding"]["y"]["title"] == "top-1, test images, %"


def values_of(chart):
    """The rows that each layer of a chart draws."""
    return [layer.get("data", chart.get("data"))["values"] for layer in chart["layer"]]


def test_both_pictures_have_one_axis_along(synthetic_results):
    front, tuning = (
        place.chart(width=500, legend=True).to_dict() for place in trade_off_section([synthetic_results]).figures
    )
    assert front["layer"][0]["encoding"]["x"] == tuning["layer"][0]["encoding"]["x"]


def test_what_chance_may_have_done_is_told_as_level(synthetic_results):
    close = spoken(synthetic_results, test_top1=[0.830, 0.850, 0.851, 0.852, 0.853], test_top1_before=0.85)
    lead, *_ = lead_of([close])
    assert "3 others are level with it within the 95 % interval" in lead
    assert "2.3 points less" in lead
    gains = [row.cells[5] for row in trade_off_section([close]).tables[0].rows]
    assert gains == ["-2.0", "+0.0, level", "+0.1, level", "+0.2, level", "+0.3, level"]
    tile = next(tile for tile in tiles_of([close]) if tile.title == "Gain by fine-tuning")
    assert tile.value == "level"
    assert tile.note.startswith("-0.3 points of top-1")
    all_level, *_ = lead_of([spoken(synthetic_results, test_top1=[0.8505, 0.850, 0.851, 0.852, 0.853])])
    assert "the fastest among them" in all_level
    assert "points less" not in all_level


def test_what_chance_cannot_have_done_is_no_tie(synthetic_results):
    apart = spoken(synthetic_results, test_top1=[0.80, 0.82, 0.84, 0.86, 0.88], test_top1_before=0.70)
    text = " ".join(lead_of([apart])) + " ".join(f"{tile.value} {tile.note}" for tile in tiles_of([apart]))
    assert "level" not in text


@pytest.mark.parametrize(
    ("first", "second", "num", "level"),
    [(0.853, 0.851, 1000, True), (0.853, 0.853, 1000, True), (0.9, 0.3, 10, False), (0.86, 0.82, 1000, False)],
)
def test_level_is_what_lies_within_the_interval(first, second, num, level):
    assert is_level(first, second, num) is level
    assert is_level(second, first, num) is level


def test_fronts_of_different_figures_have_a_picture_each(search, tmp_path):
    first = results_of(search(*MACS, *PARAMS))
    second = results_of(search(*TOP1, *MEMORY))
    groups = comparable(device_fronts([first, second]))
    assert [[figure.name for figure in axes_of(group[0])[0]] for group in groups] == [
        ["macs", "params"],
        ["peak_memory", "top1"],
    ]
    section = trade_off_section([first, second])
    assert [figure.name for figure in section.figures] == ["front", "front-2"]
    assert [table.name for table in section.tables] == ["networks", "networks-2"]


def test_labels_of_neighbours_stand_on_either_side(synthetic_results):
    latencies = [0.10, 0.20, 0.21, 0.30, 0.40]
    near = spoken(synthetic_results, measured_latency_ms=latencies)
    chart = trade_off_section([near]).figures[0].chart(width=500, legend=True).to_dict()
    (sides,) = {
        layer["mark"]["align"]["expr"] for layer in chart["layer"] if "label" in str(layer["encoding"].get("text"))
    }
    told = near.verified["arch_id"].str[:4]
    assert [label in sides for label in told] == [False, True, False, False, False]
