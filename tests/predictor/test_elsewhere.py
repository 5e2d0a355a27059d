"""What others measured becomes a predictor, and one of them ships."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ofa_hw
from ofa_hw import ArchConfig, get_space
from ofa_hw.cli.main import main
from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor import AccuracyPredictor, find_predictor, read_measured_top1
from ofa_hw.run import RunFolder
from tests.report.synthetic_run import make_synthetic_run

SPACE = get_space("ofa-mobilenetv3-w1.0")
ROOT = Path(__file__).parents[2]
LUT = ROOT / "lut" / "epyc-litert-ofa-mobilenetv3-w1.0.csv"
SHIPPED = Path(ofa_hw.__file__).parent / "predictors" / SPACE.name / "imagenet"


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def as_rows(archs: list[ArchConfig]) -> list[str]:
    lists = [arch.to_ofa() for arch in archs]
    return [",".join("-".join(map(str, ofa[name])) for name in ("ks", "e", "d")) + f",{ofa['r']}" for ofa in lists]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("unit", [1, 100])
def test_lists_and_json_in_either_unit_are_read(tmp_path: Path, unit: int) -> None:
    archs = SPACE.sample(4, np.random.default_rng(0))
    top1 = [0.71, 0.72, 0.73, 0.745]
    told = [f"{value * unit}" for value in top1]
    lists = write(
        tmp_path / "lists.csv",
        ["ks,e,d,r,top1", *(f"{row},{value}" for row, value in zip(as_rows(archs), told, strict=True))],
    )
    quoted = [json.dumps(arch.to_json()) for arch in archs]
    as_json = ['"' + text[1:-1].replace('\\"', '""') + '"' for text in quoted]
    rows = write(
        tmp_path / "rows.csv",
        ["top1,note,arch", *(f"{value},x,{text}" for value, text in zip(told, as_json, strict=True))],
    )
    (tmp_path / "lists.csv.gz").write_bytes(gzip.compress(lists.read_bytes()))
    for path in (lists, rows, tmp_path / "lists.csv.gz"):
        read, values = read_measured_top1(path, SPACE)
        assert read == archs
        np.testing.assert_allclose(values, top1)


def test_lists_of_resnets_have_widths(tmp_path: Path) -> None:
    space = get_space("ofa-resnet50")
    arch = space.sample(1, np.random.default_rng(0))[0]
    ofa = arch.to_ofa()
    row = ",".join("-".join(map(str, ofa[name])) for name in ("e", "d", "w"))
    path = write(tmp_path / "resnets.csv", ["e,d,w,r,top1", f"{row},{arch.resolution},78.1"])
    assert read_measured_top1(path, space)[0] == [arch]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: ["ks,e,r,top1", *lines[1:]], "must have a column top1 and arch"),
        (lambda lines: [*lines, lines[1].replace("224", "225")], "line 3: .*225"),
        (lambda lines: [*lines, "3-5,3-4,2,224,70"], "line 3"),
        (lambda lines: [*lines, lines[1].rpartition(",")[0] + ",good"], "line 3: could not convert"),
        (lambda lines: [*lines, lines[1].rpartition(",")[0] + ",nan"], "from 0 to 100 %; came nan in row 2"),
        (lambda lines: [*lines, lines[1].rpartition(",")[0] + ",101"], "from 0 to 100 %; came 101.0 in row 2"),
        (lambda lines: [*lines, lines[1].partition(",")[0]], "line 3"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path: Path, change, told: str) -> None:
    lines = change(["ks,e,d,r,top1", as_rows([SPACE.largest])[0] + ",70"])
    with pytest.raises(InvalidInputError, match=told) as caught:
        read_measured_top1(write(tmp_path / "a.csv", lines), SPACE)
    assert "\n" not in str(caught.value)


def test_a_damaged_gzip_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"ks,e,d,r,top1\n" * 99)[:-12])
    with pytest.raises(InvalidInputError, match="must be CSV"):
        read_measured_top1(tmp_path / "a.csv.gz", SPACE)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    rows = [f"{row},{rng.uniform(70, 76):.3f}" for row in as_rows(SPACE.sample(20, rng))]
    return write(tmp_path / "measured.csv", ["ks,e,d,r,top1", *rows])


def test_fit_makes_a_predictor_without_a_run(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_synthetic_run(tmp_path / "runs" / "other", num_samples=20)
    before = RunFolder.open(None).commands
    result = invoke("fit", "--samples", measured, "--space", SPACE.name, "--model", "ridge", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["predictor"] == f"predictors/{SPACE.name}"
    assert AccuracyPredictor.load(tmp_path / "predictors" / SPACE.name).figures.num_samples == 20
    assert RunFolder.open(None).commands == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--space", "fashion"), "--space is for --samples"),
        (("--samples", "a.csv", "--space", "fashion", "--score", "mean_true_prob"), "leave --score out"),
    ],
)
def test_what_fit_cannot_do_is_a_usage_error(words: tuple[str, ...], told: str) -> None:
    result = invoke("fit", *words)
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_shipped_predictor_gives_the_published_figures(published_data: Path) -> None:
    archs, top1 = read_measured_top1(published_data / "ofa_mbv3_w1.0_imagenet_top1.csv.gz", SPACE)
    predictor = find_predictor("imagenet", SPACE)
    errors = predictor.predict_top1(SPACE.encode(archs)) - top1
    assert 100 * np.sqrt(np.mean(errors**2)) < 0.1
    assert 100 * predictor.figures.top1_rmse < 0.1
    assert predictor.seen_resolutions == (224,)


def test_shipped_predictor_is_small_plain_and_told() -> None:
    files = {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
    assert set(files) == {"predictor.json", "arrays.safetensors", "README.md"}
    assert sum(files.values()) < 400_000
    assert all(word in (SHIPPED / "README.md").read_text() for word in ("224 px only", "DyNAS-T", "Apache-2.0"))


def test_search_of_a_space_is_held_to_what_the_predictor_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("search", "--space", SPACE.name, "--predictor", "imagenet", "--lut", LUT, "--max-latency", "12ms")
    result = invoke(*words, "--evaluations", "400", "--json")
    assert result.exit_code == 0, result.output
    assert "searching at 224 px" in result.stderr
    networks = json.loads(result.stdout)["fronts"][0]["networks"]
    assert {row["arch"]["resolution"] for row in networks} == {224}
    assert all(float(row["predicted_latency_ms"]) <= 12 for row in networks)
    assert [path.name for path in tmp_path.iterdir()] == [f"pareto-{SPACE.name}.csv"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--space", "fashion", "--run", "r"), "give either --run or --space"),
        (("--space", SPACE.name, "--lut", str(LUT)), "give a predictor by --predictor"),
        (("--space", "fashion", "--predictor", "imagenet", "--objective", "top1"), "ship for 'fashion' are: none"),
    ],
)
def test_a_search_of_a_space_that_cannot_be_is_told(words: tuple[str, ...], told: str) -> None:
    result = invoke("search", *words)
    assert result.exit_code in (1, 2)
    assert told in " ".join(result.stderr.split())
