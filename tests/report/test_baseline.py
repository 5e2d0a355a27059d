"""A run beside an earlier one."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from ofa_hw.errors import RunError
from ofa_hw.report.baseline import baseline_section, read_baseline
from ofa_hw.report.run_benchmark import benchmark_of


@pytest.fixture
def told(synthetic_results):
    return benchmark_of(synthetic_results)


def write(path, told):
    path.write_text(json.dumps(told))
    return path


def test_a_run_beside_itself_is_the_same_in_every_figure(synthetic_results, told, tmp_path):
    baseline = read_baseline(write(tmp_path / "base.json", told), synthetic_results)
    rows = baseline_section(synthetic_results, baseline).tables[0].rows
    assert {row.cells[-1] for row in rows} == {"same"}
    assert len(rows) == len(told["figures"])


def test_better_and_worse_follow_the_direction_of_the_figure(synthetic_results, told, tmp_path):
    for figure in told["figures"]:
        figure["value"] *= 2
    baseline = read_baseline(write(tmp_path / "base.json", told), synthetic_results)
    verdicts = {row.cells[0]: row.cells[-1] for row in baseline_section(synthetic_results, baseline).tables[0].rows}
    for figure in told["figures"]:
        assert verdicts[figure["title"]] == ("better" if figure["smaller_is_better"] else "worse")


def test_a_figure_that_one_of_them_lacks_is_told_as_missing(synthetic_results, told, tmp_path):
    gone = told["figures"].pop(0)
    told["figures"].append({**gone, "name": "other", "title": "Another"})
    baseline = read_baseline(write(tmp_path / "base.json", told), synthetic_results)
    cells = {row.cells[0]: row.cells for row in baseline_section(synthetic_results, baseline).tables[0].rows}
    assert cells[gone["title"]][1] == "missing"
    assert cells["Another"][2] == "missing"


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"schema_version": 1}, "it is of ofa-hw-benchmark 1"),
        ({"schema": "other"}, "it is of other 2"),
        ({"space": "mine"}, r"space \(mine, not fashion\)"),
        ({"conditions": {"device": "pixel", "runtime": "onnx"}}, None),
    ],
)
def test_a_baseline_that_cannot_be_compared_is_refused_with_what_differs(
    synthetic_results, told, tmp_path, change, differs
):
    if "conditions" in change:
        change = {"conditions": [told["conditions"][0] | change["conditions"]]}
        differs = r"device \(pixel, not example\), runtime \(onnx, not tflite\)"
    with pytest.raises(RunError, match=differs):
        read_baseline(write(tmp_path / "base.json", told | change), synthetic_results)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"schema": 1}', b'{"schema": "ofa-hw-benchmark"}'])
def test_a_damaged_baseline_is_told_by_its_name(synthetic_results, tmp_path, content):
    path = tmp_path / "base.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"base\.json"):
        read_baseline(path, synthetic_results)


def test_a_baseline_without_a_table_is_compared_all_the_same(synthetic_results, told, tmp_path):
    path = write(tmp_path / "base.json", told)
    assert read_baseline(path, dataclasses.replace(synthetic_results, lut=None)).figures


def test_the_command_puts_the_comparison_first(synthetic_run, synthetic_table, told, tmp_path):
    baseline = write(tmp_path / "base.json", told)
    words = ["--run", str(synthetic_run.path), "--lut", str(synthetic_table), "--baseline", str(baseline)]
    result = CliRunner().invoke(main, ["report", *words, "--markdown", str(tmp_path / "summary.md")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "summary.md").read_text()
    assert text.index("## Against the baseline") < text.index("## Accuracy against latency")
    missing = CliRunner().invoke(main, ["report", *words[:-1], str(tmp_path / "none.json")])
    assert (missing.exit_code, missing.stderr.splitlines()[-1]) == (
        1, f"Error: No such file or directory: {tmp_path / 'none.json'}"
    )  # fmt: skip
