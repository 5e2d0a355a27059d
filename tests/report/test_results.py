"""What the files of a run hold."""

import math

import pytest

from ofa_hw.errors import RunError, TableError
from ofa_hw.report.fronts import device_fronts
from ofa_hw.report.results import read_results
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from tests.report.synthetic_run import PHASES, make_synthetic_run


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return make_synthetic_run(tmp_path / "run", num_samples=20)


def test_a_whole_run_has_every_table_and_misses_nothing(synthetic_results):
    assert synthetic_results.missing == ()
    assert list(synthetic_results.phases["phase"].unique()) == list(PHASES)
    assert len(synthetic_results.samples) == 120
    assert [column.name for column in synthetic_results.front.objectives] == ["top1", "latency"]
    assert len(synthetic_results.verified) == 5
    assert len(synthetic_results.whole_nets) == 25


def test_images_are_counted_from_the_start_of_training(synthetic_results):
    assert synthetic_results.phases["images"].max() == 57_500 * len(PHASES)
    assert synthetic_results.losses["images"].is_monotonic_increasing


def test_an_empty_run_says_which_command_makes_each_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunFolder.create(tmp_path / "run", {"space": get_space("fashion").to_dict()})
    missing = read_results(run).missing
    assert [part.command.split()[1] for part in missing] == [
        "train",
        "sample",
        "fit",
        "profile",
        "search",
        "verify",
        "verify",
    ]
    assert all(f"--run {run.path}" in part.command or "profile" in part.command for part in missing)
    assert missing[3].command == f"ofa-hw profile --space {run.path} --out lut/host.csv"
    assert all(part.command.endswith("--lut lut/host.csv") for part in missing[4:])


def test_a_run_of_imported_weights_is_not_told_to_train(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"space": get_space("fashion").to_dict()})
    run.supernet_path.touch()
    assert "training" not in {part.what for part in read_results(run).missing}


def test_without_a_table_samples_have_no_latency(run):
    (front,) = device_fronts([read_results(run)])
    assert all(math.isnan(value) for value in front.samples["latency"])


def test_a_missing_table_is_told(run, tmp_path):
    with pytest.raises((TableError, OSError), match=r"other\.csv"):
        read_results(run, lut=tmp_path / "other.csv")


@pytest.mark.parametrize("value", ["nan", "inf", "", "fast"])
def test_a_value_that_is_no_number_is_named_by_file_row_and_column(run, value):
    lines = run.verified_path.read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index("measured_latency_ms") - len(lines[0].split(","))] = value
    run.verified_path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")
    with pytest.raises(RunError, match=r"verified\.csv, row 2: measured_latency_ms must be a finite number"):
        read_results(run)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'a,b\n"1', b"arch_id,arch\nx,y\n"])
def test_a_damaged_front_is_told_by_its_name(run, content):
    run.front_path.write_bytes(content)
    with pytest.raises(RunError, match=r"pareto\.csv"):
        read_results(run)


def test_an_architecture_that_cannot_be_read_is_named_by_its_row(run):
    text = run.front_path.read_text().replace('""resolution""', '""res""', 1)
    run.front_path.write_text(text)
    with pytest.raises(RunError, match=r"pareto\.csv, row 1"):
        read_results(run)


@pytest.mark.parametrize(
    "line", ['{"kind": "step", "phase": "a"}', '{"kind": "phase_end", "index": 0}', '{"phase": 1}']
)
def test_a_damaged_journal_is_named_by_its_line(run, line):
    run.metrics_path.write_text(line + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 1"):
        read_results(run)


def test_a_predictor_without_figures_is_told(run):
    (run.predictor_path / "predictor.json").write_text('{"figures": {"kendall_tau": "high"}}')
    with pytest.raises(RunError, match=r"predictor\.json"):
        read_results(run)
