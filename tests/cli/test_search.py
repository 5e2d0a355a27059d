"""`ofa-hw search` as a user meets it."""

import csv
import dataclasses
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ofa_hw import num_params
from ofa_hw.cli.main import main
from ofa_hw.lut.calibration import Calibration
from ofa_hw.search import ParetoFront
from ofa_hw.search.front import FrontLimit, FrontTable
from tests.search import example

BUDGET = ("--evaluations", "1000")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("search")
    example.run(path / "run")
    for device, kernels in (("phone", 1.0), ("board", 2.0)):
        example.table(device, large_kernels=kernels).write(path / f"{device}.csv")
    return path


@pytest.fixture
def invoke(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *words: CliRunner().invoke(main, ["search", "--run", "run", *words])


def calibration(relative_error):
    """A correction that changes nothing, off by `relative_error` by 100 networks."""
    return Calibration(
        intercept_ms=0.0,
        scale=1.0,
        ms_per_mparam=0.0,
        ms_per_block=0.0,
        ms_per_large_kernel=0.0,
        relative_error=relative_error,
        covariance=(0.0,) * 25,
        num_fit=40,
        num_held_out=60,
        repeatability=0.004,
        coverage=0.9,
        figures=(),
    )


def error_of(result, exit_code=1):
    assert result.exit_code == exit_code, result.output
    return next(line for line in result.stderr.splitlines() if line.startswith("Error"))


def test_the_front_names_its_table_and_carries_intervals_and_units(invoke, folder):
    result = invoke("--lut", "phone.csv", "--max-latency", "0.5ms", *BUDGET)
    assert result.exit_code == 0, result.output
    text = (folder / "run" / "pareto.csv").read_text()
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert all(float(row["predicted_latency_ms"]) <= 0.5 for row in rows)
    assert all(
        float(row["predicted_top1_low"]) < float(row["predicted_top1"]) < float(row["predicted_top1_high"])
        for row in rows
    )
    front = ParetoFront.read(folder / "run" / "pareto.csv", example.SPACE)
    assert len(front) == len(rows)
    assert front.tables == (FrontTable(name="latency", device="phone", file="phone.csv"),)
    assert front.limits == (FrontLimit(name="latency", bound=0.5),)


def test_rows_are_told_by_number_and_id_and_how_many_of_how_many_are_shown(invoke, folder):
    result = invoke("--lut", "phone.csv", *BUDGET)
    front = ParetoFront.read(folder / "run" / "pareto.csv", example.SPACE)
    assert f"20 of {len(front)} networks in run/pareto.csv" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    told = {int(row[0]): row[1] for row in rows if len(row[1]) == 12}
    assert len(told) == 20
    assert told == {number: front.archs[number - 1].arch_id for number in told}


def test_a_front_that_a_second_search_replaces_is_kept_beside_it(invoke, folder):
    invoke("--lut", "phone.csv", *BUDGET)
    before = (folder / "run" / "pareto.csv").read_text()
    result = invoke("--lut", "phone.csv", "--max-latency", "0.4ms", *BUDGET)
    (told,) = [line for line in result.stderr.splitlines() if "is kept as" in line]
    assert (folder / told.rpartition(" ")[2]).read_text() == before
    assert "is kept as" not in invoke("--lut", "phone.csv", "--max-latency", "0.4ms", *BUDGET).stderr


def test_many_devices_have_a_front_each_and_a_robust_one(invoke, folder):
    result = invoke("--lut", "phone.csv", "--lut", "board.csv", "--max-latency", "phone=0.5ms", "--json", *BUDGET)
    assert result.exit_code == 0, result.output
    fronts = {front["name"]: front for front in json.loads(result.stdout)["fronts"]}
    assert {name: front["file"] for name, front in fronts.items()} == {
        "robust": "run/pareto.csv",
        "phone": "run/pareto-phone.csv",
        "board": "run/pareto-board.csv",
    }
    assert max(net["predicted_latency_ms"] for net in fronts["phone"]["networks"]) <= 0.5
    assert fronts["robust"]["limits"] == fronts["phone"]["limits"]
    assert fronts["robust"]["limits"] == [{"name": "latency", "bound": 0.5, "confidence": None}]
    assert fronts["board"]["limits"] == []
    assert [table["device"] for table in fronts["robust"]["tables"]] == ["phone", "board"]
    first = fronts["robust"]["networks"][0]
    assert {
        "predicted_common_latency",
        "predicted_worst_regret",
        "predicted_latency_ms",
        "predicted_latency_board_ms",
    } <= set(first)


def test_any_number_of_objectives_and_a_front_to_begin_with(invoke, folder):
    result = invoke("--objective", "top1", "--objective", "params", "--objective", "peak_memory", "--exact", *BUDGET)
    assert result.exit_code == 0, result.output
    assert "no single change of any network improves this front" in result.stdout
    before = ParetoFront.read(folder / "run" / "pareto.csv", example.SPACE).archs
    result = invoke("--objective", "params", "--start", "run/pareto.csv", "--json", "--evaluations", str(len(before)))
    least = min(num_params(example.SPACE, arch) for arch in before)
    assert json.loads(result.stdout)["fronts"][0]["networks"][0]["params"] == least


def test_counted_figures_are_limited_and_not_called_predicted(invoke, folder):
    words = ("--objective", "macs", "--objective", "params", "--limit", "peak_memory=32KiB", "--limit", "macs=2.5M")
    result = invoke(*words, *BUDGET)
    assert result.exit_code == 0, result.output
    assert "predicted" not in result.stdout
    front = ParetoFront.read(folder / "run" / "pareto.csv", example.SPACE)
    assert front.limits == (FrontLimit(name="peak_memory", bound=32768.0), FrontLimit(name="macs", bound=2.5e6))
    assert front.values("peak_memory").max() <= 32768
    assert front.values("macs").max() <= 2.5e6


def test_the_short_forms_of_limits_are_the_long_ones(invoke):
    short = (
        "--max-latency",
        "0.5ms",
        "--max-params",
        "110k",
        "--max-peak-memory",
        "1MB",
        "--max-macs",
        "3M",
        "--min-top1",
        "80%",
    )
    long = ("latency=500us", "params=0.11M", "peak_memory=1000kB", "macs=3000k", "top1=0.8")
    told = [
        json.loads(invoke("--lut", "phone.csv", *words, "--json", *BUDGET).stdout)["fronts"][0]
        for words in (short, [word for limit in long for word in ("--limit", limit)])
    ]
    assert sorted(map(str, told[0]["limits"])) == sorted(map(str, told[1]["limits"]))
    assert len(told[0]["limits"]) == 5


def test_exact_tells_the_gap_of_sums(invoke):
    result = invoke("--lut", "phone.csv", "--exact", *BUDGET)
    assert "this is the true front; the search lacked" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--lut", "phone.csv", "--objective", "speed"), "no objective 'speed'; there are latency, macs, params"),
        (("--lut", "phone.csv", "--max-latency", "0.001ms"), "the least in the space 'fashion' is"),
        (("--lut", "phone.csv", "--max-latency", "tablet=1ms"), "no table of a device 'tablet'; there are phone"),
        (("--lut", "phone.csv", "--lut", "phone.csv"), "different devices or files"),
        (("--lut", "phone.csv", "--max-latency", "1ms", "--confidence", "0.9"), "ofa-hw calibrate --lut phone.csv"),
        (("--lut", "phone.csv", "--predictor", "none"), "make one with `ofa-hw fit`"),
        (("--lut", "phone.csv", "--max-params", "20k", "--min-top1", "93%"), "contradict each other"),
        (("--lut", "phone.csv", "--limit", "energy=1"), "no objective 'energy'; there are top1, latency, macs"),
        (("--lut", "phone.csv", "--limit", "macs=1M", "--max-macs", "2M"), "macs must be limited once; came twice"),
        (("--objective", "macs", "--max-latency", "1ms"), "a limit of latency needs a table; give one by --lut"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(invoke, words, told):
    assert told in error_of(invoke(*words))


@pytest.mark.parametrize(
    "words",
    [
        ("--lut", "phone.csv", "--confidence", "0.9"),
        ("--lut", "phone.csv", "--confidence", "0.9", "--max-params", "5M"),
        ("--lut", "phone.csv", "--max-latency", "fast"),
        ("--lut", "phone.csv", "--max-latency", "30"),
        ("--lut", "phone.csv", "--limit", "32KiB"),
        ("--lut", "phone.csv", "--limit", "peak_memory=1s"),
        ("--lut", "phone.csv", "--max-macs", "phone=1M"),
        ("--lut", "phone.csv", "--min-top1", "76"),
    ],
)
def test_a_request_without_meaning_is_a_usage_error(invoke, words):
    error_of(invoke(*words), exit_code=2)


def test_without_a_table_those_of_the_last_search_are_taken_else_the_one_there_is(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = example.run(tmp_path / "run")
    words = ["search", "--run", "run", *BUDGET]
    assert "`ofa-hw profile --space run --out lut/host.csv`" in error_of(CliRunner().invoke(main, words))
    (tmp_path / "lut").mkdir()
    for device in ("phone", "board"):
        (tmp_path / "lut" / f"{device}.csv").write_bytes((folder / f"{device}.csv").read_bytes())
    assert "give --lut, of lut/board.csv, lut/phone.csv" in error_of(CliRunner().invoke(main, words))
    for given in (["--lut", "lut/board.csv"], []):
        assert CliRunner().invoke(main, [*words, *given]).exit_code == 0
        assert [table.file for table in ParetoFront.read(run.front_path, example.SPACE).tables] == ["lut/board.csv"]


def test_a_run_without_a_predictor_names_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    example.run(tmp_path / "bare", fitted=False)
    result = CliRunner().invoke(main, ["search", "--run", str(tmp_path / "bare"), "--lut", "phone.csv"])
    assert "make it with `ofa-hw fit" in error_of(result)


def test_a_table_that_lacks_blocks_names_the_command_that_measures_them(invoke, folder):
    whole = example.table("part")
    kept = tuple(row for row in whole.measurements if row.block.kernel_size < 5 or row.block.kind != "mbconv")
    dataclasses.replace(whole, measurements=kept).write(folder / "part.csv")
    assert "ofa-hw profile --device part" in error_of(invoke("--lut", "part.csv"))


def test_a_search_imports_no_torch(folder):
    program = (
        "import sys\nfrom ofa_hw.cli.main import main\n"
        "try:\n    main(['search', '--run', 'run', '--lut', 'phone.csv', '--evaluations', '500'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": ":".join(sys.path)}, check=True)


def test_a_limit_is_kept_with_confidence_by_the_tables_own_error(invoke, folder):
    table = dataclasses.replace(example.table("sure"), calibration=calibration(relative_error=0.05))
    table.write(folder / "sure.csv")
    bounds = {}
    for confidence in ("0.5", "0.95"):
        budget = ("--max-latency", "0.34ms", "--confidence", confidence, "--evaluations", "5000", "--json")
        result = invoke("--lut", "sure.csv", *budget)
        assert result.exit_code == 0, result.output
        networks = json.loads(result.stdout)["fronts"][0]["networks"]
        assert max(net["predicted_latency_ms"] for net in networks) <= 0.34
        # Of what lies outside a central 90 % interval half lies above: its upper end is the one-sided 95 % bound.
        bounds[confidence] = max(net["predicted_latency_high_ms"] for net in networks)
    assert 0.3 < bounds["0.95"] <= 0.34 < bounds["0.5"]


def test_a_predictor_of_another_space_is_refused(invoke, folder):
    smaller = dataclasses.replace(example.SPACE, name="smaller", depths=example.SPACE.depths[:-1])
    example.predictor(space=smaller).save(folder / "smaller")
    told = error_of(invoke("--lut", "phone.csv", "--predictor", "smaller"))
    assert "it was fitted to 'smaller': fit one with `ofa-hw fit`, or give another --predictor" in told


def test_samples_that_are_not_finite_are_refused_with_their_line(folder):
    run = example.run(folder / "broken", fitted=False)
    lines = run.samples_path.read_text().splitlines()
    row = json.loads(lines[2]) | {"top1": float("nan")}
    run.samples_path.write_text("\n".join([*lines[:2], json.dumps(row), *lines[3:], ""]))
    told = error_of(CliRunner().invoke(main, ["fit", "--run", str(run.path)]))
    assert "line 3: must be JSON: numbers must be finite; came nan" in told


def test_fit_tells_the_learning_curve(folder):
    result = CliRunner().invoke(main, ["fit", "--run", str(folder / "run"), "--model", "ridge", "--learning-curve"])
    assert result.exit_code == 0, result.output
    assert "by this curve 300 subnets instead of 150 lower the RMSE" in result.stderr
    assert (folder / "run" / "predictor" / "learning_curve.csv").exists()
