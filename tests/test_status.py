"""How far a run is, and what goes on with it."""

import json
import shutil

import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from ofa_hw.errors import RunError
from ofa_hw.run import RunFolder
from ofa_hw.status import best_exported, list_runs, run_status
from tests.test_docs import ROOT, check

OLD = ROOT / "tests" / "data" / "old" / "f11f99c"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a whole run, one that was killed and the table of both."""
    monkeypatch.chdir(tmp_path)
    for name in ("killed", "tiny"):
        shutil.copytree(OLD / "runs" / name, tmp_path / "runs" / name, copy_function=shutil.copyfile)
    (tmp_path / "lut").mkdir()
    shutil.copyfile(OLD / "lut" / "host.csv", tmp_path / "lut" / "host.csv")
    return tmp_path


def test_a_whole_run_is_told_with_its_best_networks(folder):
    status = run_status(RunFolder(folder / "runs" / "tiny"))
    assert (status.is_trained, status.num_images, status.fault) == (True, status.num_images_in_all, None)
    assert (status.num_samples, status.predictor, status.num_front, status.num_verified) == (62, "mlp", 31, 2)
    assert status.num_exported == 5
    assert [net.source for net in status.best] == ["measured"] * 2
    assert status.best[0].top1 >= status.best[1].top1
    assert status.next_command == f"ofa-hw report --run {folder / 'runs' / 'tiny'}"


def test_a_killed_run_tells_what_it_saw(folder):
    status = run_status(RunFolder(folder / "runs" / "killed"))
    assert not status.is_trained
    assert 2700 <= status.num_images < status.num_images_in_all
    assert status.next_command.endswith("--resume")


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        (("supernet.safetensors",), "train"),
        (("samples.jsonl",), "sample"),
        (("predictor",), "fit"),
        (("pareto.csv",), "search"),
        (("pareto.csv", "../../lut"), "profile"),
        (("verified.csv",), "verify"),
        (("exported",), "export"),
        ((), "report"),
    ],
)
def test_the_next_command_makes_what_is_missing_and_is_understood(missing, command, folder):
    run = folder / "runs" / "tiny"
    for name in missing:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    line = run_status(RunFolder(run)).next_command
    assert line.split()[1] == command
    assert check.misunderstood(line) is None


def test_the_command_tells_every_run_and_its_networks(folder):
    result = CliRunner().invoke(main, ["runs"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "images" in next(line for line in result.stdout.splitlines() if "runs/killed" in line)
    assert "3d9a19a4f0ca" in result.stdout
    assert result.stderr.startswith("next: ofa-hw ")
    told = json.loads(CliRunner().invoke(main, ["runs", "--json"]).stdout)
    assert {row["path"] for row in told} == {"runs/killed", "runs/tiny"}


def test_a_damaged_run_does_not_hide_the_others(folder):
    (folder / "runs" / "tiny" / "config.toml").write_text("[space\n")
    by_name = {status.path.name: status for status in list_runs()}
    assert by_name["tiny"].fault
    assert by_name["killed"].fault is None
    result = CliRunner().invoke(main, ["runs"], catch_exceptions=False)
    assert "runs/tiny: runs/tiny/config.toml" in result.stderr


def test_without_a_run_there_is_a_way_to_begin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["runs"])
    assert (result.exit_code, result.stderr) == (0, "there is no run below runs/ yet; next: ofa-hw demo\n")
    assert json.loads(CliRunner().invoke(main, ["runs", "--json"]).stdout) == []


def test_the_network_to_use_is_the_verified_one_that_is_best_on_the_validation_images(folder):
    run = RunFolder(folder / "runs" / "tiny")
    path, why = best_exported(run)
    assert path.name == "3d9a19a4f0ca.tflite"
    assert "validation" in why
    run.verified_path.unlink()
    assert best_exported(run)[1] == "the file that was exported last"
    shutil.rmtree(run.exported_path)
    with pytest.raises(RunError, match="no exported network yet; go on with `ofa-hw verify"):
        best_exported(run)
