import json

import pytest

from ofa_hw.lut import LatencyTable
from ofa_hw.space import get_space

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


@pytest.fixture(scope="module")
def invoke():
    from click.testing import CliRunner

    from ofa_hw.cli.main import main

    return lambda *args: CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def table_path(invoke, tmp_path_factory):
    path = tmp_path_factory.mktemp("lut") / "host.csv"
    options = ("--space", "fashion", "--resolutions", 20, "--max-seconds", 4, "--target-ci", 0.2)
    result = invoke("profile", *options, "--out", path)
    assert result.exit_code == 0, result.output
    return path


def test_profile_writes_a_table_of_every_block(table_path, invoke):
    table = LatencyTable.read(table_path)
    space = get_space("fashion")
    assert table.resolutions == (20,)
    assert table.latency_ms(space, space.encode([space.smallest])) > 0
    assert not list(table_path.parent.glob("*.journal"))
    assert {"host", "rounds", "sentinel", "load_before_and_after"} <= set(table.notes)
    assert table.notes["profile_command"].startswith("ofa-hw profile --space fashion")
    assert invoke("lut", "validate", table_path).exit_code == 0


def test_calibrate_writes_its_figures_into_the_table(table_path, invoke):
    result = invoke("calibrate", "--lut", table_path, "--num-fit", 5, "--num-held-out", 4, "--max-seconds", 4, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_held_out"] == 4
    calibrated = LatencyTable.read(table_path)
    assert calibrated.calibration.num_fit == 5
    assert calibrated.notes["calibrate_command"].startswith("ofa-hw calibrate --lut")
    assert calibrated.notes["calibrated_at"] >= max(row.measured_at for row in calibrated.measurements)
    assert "from 5 networks; off by" in invoke("lut", "show", table_path, "--json").stdout


def test_table_is_shown_and_compared(table_path, invoke):
    shown = invoke("lut", "show", table_path, "--json")
    assert json.loads(shown.stdout)["space"] == "fashion"
    assert "mbconv" in invoke("lut", "show", table_path).stdout
    difference = invoke("lut", "diff", table_path, table_path, "--json")
    assert json.loads(difference.stdout)["median_ratio"] == 1
    assert "against" in invoke("lut", "diff", table_path, table_path).stdout


def test_devices_tells_which_answer(invoke):
    devices = {row["device"]: row for row in json.loads(invoke("devices", "--json").stdout)}
    assert devices["host"]["answers"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("profile", "--device", "toaster"), "no device 'toaster'; there are"),
        (("profile", "--space", "atlantis"), "no space 'atlantis'"),
        (("profile", "--resolutions", "21"), "resolutions must be among"),
        (("profile", "--cpu-mask", "none"), "cpu_mask must be"),
        (("profile", "--dtype", "float7"), "dtype must be one of"),
        (("calibrate", "--lut", "none.csv"), "none.csv: there is no such table"),
        (("lut", "validate", "none.csv"), "none.csv: there is no such table"),
    ],
)
def test_bad_input_is_told_in_one_line(invoke, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    result = invoke(*args)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
