"""What earlier versions wrote is read, and means what it meant; data/old/README.md tells how each set was made.

A file that a version can no longer read must be refused by one line that names the command which makes it anew. Of the
files below that is allowed of a journal of a killed search and of trees of another scikit-learn alone.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import lzma
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from ofa_hw.bench import read_benchmark, read_suite
from ofa_hw.blocks import block_specs, num_macs, num_params, unique_block_specs
from ofa_hw.cli.main import main
from ofa_hw.cost import PeakMemory
from ofa_hw.errors import RunError
from ofa_hw.formats.running import onnx_runner, tflite_runner
from ofa_hw.lut import LatencyTable
from ofa_hw.nn import Supernet
from ofa_hw.predictor import AccuracyPredictor, read_samples
from ofa_hw.profiling import measure, read_devices
from ofa_hw.report import read_results
from ofa_hw.run import RunFolder
from ofa_hw.search import ParetoFront
from ofa_hw.space import ArchConfig, SearchSpace, get_space, list_spaces
from ofa_hw.training import load_supernet, open_images, read_metrics
from tests.profiling.fake import FakeProfiler

OLD = Path(__file__).parent / "data" / "old"
SETS = sorted(path.name for path in OLD.iterdir() if path.is_dir())
FILES = [path.relative_to(OLD).as_posix() for path in sorted(OLD.glob("*/**/*")) if path.is_file()]
MODELS = ("gbdt", "mlp", "ridge")
LIMITS = ("--max-latency", "1ms", "--max-params", "1M", "--max-peak-memory", "1MB", "--min-top1", "1%")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def unpack(name: str, folder: Path) -> Path:
    """Copy a set to where it may be written in, its compressed files as they were."""
    shutil.copytree(OLD / name, folder, dirs_exist_ok=True)
    for path in folder.rglob("*.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
    return folder


@pytest.fixture(scope="module", params=SETS)
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set to read from."""
    return unpack(request.param, tmp_path_factory.mktemp("old"))


@pytest.fixture
def own_copy(old: Path, tmp_path: Path) -> Path:
    """A set to go on with."""
    return shutil.copytree(old, tmp_path, dirs_exist_ok=True)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="ofa-hw")


def succeed(*words: object) -> Result:
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result


def expected_json(old: Path, name: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((old / "expected" / f"{name}.json.gz").read_bytes()))


def space_of(old: Path, name: str) -> SearchSpace:
    return get_space(name if name in list_spaces() else str(old / f"{name}.toml"))


def run_of(path: Path) -> RunFolder:
    """The run that a file is of."""
    return RunFolder.open(next(folder for folder in path.parents if folder.parent.name == "runs"))


# ------------------------------------------------------------------------------------------------ every single file


def has_a_checkpoint_of_its_space(path: Path) -> None:
    like, state = Supernet(run_of(path).space).state_dict(), load_file(path)
    assert {key: state[f"net.{key}"].shape for key in like} == {key: tensor.shape for key, tensor in like.items()}
    assert any(key.startswith("momentum.") for key in state)


def has_finetuned_weights(path: Path) -> None:
    run = run_of(path)
    arch = next(arch for arch in ParetoFront.read(run.front_path, run.space).archs if arch.arch_id == path.stem)
    load_supernet(run).extract(arch).load_state_dict(load_file(path))


def is_a_predictor(path: Path) -> None:
    facts = json.loads((path.parent / "predictor.json").read_text())
    load_or_refuse(path.parent)
    assert facts["space"]["name"] == "tiny"


def load_or_refuse(folder: Path) -> AccuracyPredictor | None:
    """Return the predictor; None where its trees are of another scikit-learn, and that is what is told."""
    written = json.loads((folder / "predictor.json").read_text())["versions"]["scikit-learn"]
    if (folder / "trees.skops").exists() and written != version("scikit-learn"):
        with pytest.raises(RunError, match="fit again with `ofa-hw fit --model gbdt`"):
            AccuracyPredictor.load(folder)
        return None
    return AccuracyPredictor.load(folder)


def is_a_suite(path: Path) -> None:
    with contextlib.chdir(path.parent):  # the file of a space is looked for where the command is called
        assert {workload.name for workload in read_suite(path).workloads} > {"net"}


def is_run(read: Any) -> Any:
    return lambda path: bool(read(run_of(path)))


READERS = {
    "tiny*.toml": lambda path: get_space(str(path)),
    "ofa-hw.toml": read_devices,
    "suite.toml": is_a_suite,
    "runs/*/config.toml": is_run(lambda run: (run.space, open_images(run))),
    "runs/*/supernet.safetensors": is_run(load_supernet),
    "runs/*/metrics.jsonl": is_run(read_metrics),
    "runs/*/samples.jsonl": is_run(lambda run: read_samples(run.samples_path)),
    "runs/*/commands.jsonl": is_run(lambda run: run.commands),
    "runs/*/checkpoints/*.safetensors": has_a_checkpoint_of_its_space,
    "runs/*/exported/*.safetensors": has_finetuned_weights,
    "runs/*/exported/*.tflite": lambda path: tflite_runner(path.read_bytes()),
    "runs/*/exported/*.onnx": lambda path: onnx_runner(path.read_bytes()),
    "runs/*/pareto*.csv": lambda path: ParetoFront.read(path, run_of(path).space).archs,
    "runs/*/verified.csv": is_run(lambda run: len(read_results(run).verified)),
    "runs/*/whole_nets.csv": is_run(lambda run: len(read_results(run).whole_nets)),
    "runs/*/predictor/*": is_a_predictor,
    "predictors/*/*": is_a_predictor,
    "fronts/*.csv": lambda path: ParetoFront.read(path, get_space(str(path.parents[1] / "tiny.toml"))).archs,
    "lut/*.csv": LatencyTable.read,
    "**/bench*.json": read_benchmark,
}
READ_BY_A_TEST_OF_THEIR_OWN = ("journals/*", "expected/*")
FOR_PEOPLE = ("runs/*/summary.md", "runs/*/exported/*.md")


@pytest.mark.parametrize("file", FILES)
def test_every_old_file_is_read(old: Path, file: str) -> None:
    path = old / Path(*Path(file).parts[1:]).as_posix().removesuffix(".xz")
    readers = [read for pattern, read in READERS.items() if path in old.glob(pattern)]
    if not readers:
        assert any(path in old.glob(pattern) for pattern in (*READ_BY_A_TEST_OF_THEIR_OWN, *FOR_PEOPLE)), file
    for read in readers:
        assert read(path) is not False


# ---------------------------------------------------------------------------------------------------- what they mean


def test_genes_name_the_same_networks(old: Path) -> None:
    recorded = expected_json(old, "archs")
    all_genes = np.load(old / "expected" / "genes.npz")
    assert set(recorded) == set(all_genes.files)
    assert len(set(recorded) & set(list_spaces())) == 6
    for name, rows in recorded.items():
        space, genes = space_of(old, name), all_genes[name]
        archs = space.decode(genes)
        assert [ArchConfig.from_dict(row["arch"]) for row in rows] == archs
        assert [(arch.arch_id, arch.to_dict()) for arch in archs] == [(row["arch_id"], row["arch"]) for row in rows]
        assert np.array_equal(space.encode(archs), genes)


def test_networks_are_of_the_same_blocks_and_cost_the_same(old: Path) -> None:
    for name, rows in expected_json(old, "archs").items():
        space = space_of(old, name)
        for row in rows:
            arch = ArchConfig.from_dict(row["arch"])
            assert [spec.key for spec in block_specs(space, arch)] == row["blocks"]
            assert (num_macs(space, arch), num_params(space, arch)) == (row["macs"], row["params"])
            assert PeakMemory(space=space).evaluate(space.encode([arch])) == row["peak_bytes"]


def test_supernets_have_the_same_weights(old: Path) -> None:
    for name, shapes in expected_json(old, "shapes").items():
        with torch.device("meta"):
            state = Supernet(space_of(old, name)).state_dict()
        assert {key: list(tensor.shape) for key, tensor in state.items()} == shapes


@torch.no_grad()
def test_trained_supernet_gives_the_same_logits(old: Path) -> None:
    recorded, run = np.load(old / "expected" / "run.npz"), RunFolder.open(old / "runs" / "tiny")
    test, net = open_images(run).test, load_supernet(run)
    for index, arch in enumerate(run.space.decode(recorded["genes"][:3])):
        logits, wanted = net(next(test.all_at(arch.resolution, 4)), arch).numpy(), recorded[f"logits_{index}"]
        assert np.abs(logits - wanted).max() < 1e-5 * wanted.std()


@pytest.mark.parametrize("model", MODELS)
def test_predictor_predicts_the_same(old: Path, model: str) -> None:
    recorded, predictor = np.load(old / "expected" / "run.npz"), load_or_refuse(old / "predictors" / model)
    if predictor is None:
        return
    assert predictor.model_name == model
    for name, values in zip(
        ("mean", "std", "low", "high"),
        (*predictor.predict(recorded["genes"]), *predictor.interval(recorded["genes"])),
        strict=True,
    ):
        np.testing.assert_allclose(values, recorded[f"{model}_{name}"], rtol=1e-6)


def test_tables_give_the_same_latencies(old: Path) -> None:
    recorded, space = np.load(old / "expected" / "run.npz"), space_of(old, "tiny")
    genes = recorded["genes"]
    tables = {name: LatencyTable.read(old / "lut" / f"{name}.csv") for name in ("uncalibrated", "host", "host-ort")}
    assert [name for name, table in tables.items() if table.calibration] == ["host"]
    for name, table in tables.items():
        np.testing.assert_allclose(table.latency_ms(space, genes), recorded[f"{name}_ms"], rtol=1e-12)
    np.testing.assert_allclose(tables["host"].sum_ms(space, genes), recorded["host_sum_ms"], rtol=1e-12)
    low, high = tables["host"].interval_ms(space, genes)
    np.testing.assert_allclose([low, high], [recorded["host_low_ms"], recorded["host_high_ms"]], rtol=1e-12)


def test_fronts_hold_the_same_networks(old: Path) -> None:
    recorded, space = np.load(old / "expected" / "run.npz"), space_of(old, "tiny")
    fronts = [*(old / "fronts").glob("*.csv"), *(old / "runs" / "tiny").glob("pareto*.csv")]
    assert len(fronts) == sum(name.startswith("front_") for name in recorded.files) == 5
    for path in fronts:
        assert np.array_equal(space.encode(ParetoFront.read(path, space).archs), recorded[f"front_{path.stem}"])


def test_devices_are_what_they_were(old: Path) -> None:
    devices = read_devices(old / "ofa-hw.toml")
    told = [(name, device.runtime, device.transport, device.dtype) for name, device in devices.items()]
    assert told == [
        ("my-phone", "tflite", "adb", "int8"),
        ("my-board", "tflite", "ssh", "float32"),
        ("my-jetson", "onnxruntime", "ssh", "float32"),
        ("my-rpc-board", "tvm", "rpc", "float32"),
    ]
    phone, board = devices["my-phone"], devices["my-rpc-board"]
    assert (phone.cpu_mask, phone.num_threads, board.batch_size) == ("0xf0", 2, 4)


# ------------------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize(("killed", "whole"), [("killed", "tiny"), ("killed-resnet", "resnet")])
def test_killed_training_ends_where_the_unbroken_one_did(own_copy: Path, killed: str, whole: str) -> None:
    run, unbroken = RunFolder(own_copy / "runs" / killed), RunFolder(own_copy / "runs" / whole)
    begun = load_file(max(run.checkpoints_path.iterdir()))
    succeed("train", "--run", run.path, "--resume", "--threads", 1)
    weights, wanted = load_file(run.supernet_path), load_file(unbroken.supernet_path)
    learnt = [key for key in wanted if wanted[key].is_floating_point()]
    to_go = sum(float((begun[f"net.{key}"] - wanted[key]).norm()) for key in learnt)
    # To the bit on the machine that made them; what another adds up in another order grows from step to step.
    assert sum(float((weights[key] - wanted[key]).norm()) for key in learnt) < 0.1 * to_go
    rows = [(row["kind"], row["phase"], row.get("step")) for row in read_metrics(run)]
    assert rows == [(row["kind"], row["phase"], row.get("step")) for row in read_metrics(unbroken)]


def test_run_is_reported(own_copy: Path) -> None:
    run, luts = own_copy / "runs" / "tiny", [own_copy / "lut" / "host.csv", own_copy / "lut" / "host-ort.csv"]
    succeed("report", "--run", run, "--lut", luts[0], "--lut", luts[1])
    assert (run / "report.html").stat().st_size > 1e5
    results = read_results(RunFolder.open(run), lut=luts[0], other_luts=luts[1:])
    tables = ("phases", "losses", "samples", "front", "verified", "whole_nets", "held_out")
    assert all(len(getattr(results, name)) for name in tables)
    assert results.max_latency_ms == 1
    assert results.lut is not None
    assert results.lut.calibration
    assert sorted(results.device_fronts) == ["host", "host-ort"]


def test_run_is_gone_on_with(own_copy: Path) -> None:
    run, lut = own_copy / "runs" / "tiny", own_copy / "lut" / "host.csv"
    succeed("sample", "--run", run, "--num", 63, "--threads", 1)
    succeed("export", "--run", run, "--pick", 1, "--format", "onnx")
    assert "fine-tuned" in next((run / "exported").glob("*.onnx.md")).read_text()
    succeed("search", "--run", run, "--lut", lut, "--start", run / "pareto.csv", "--evaluations", 100)
    succeed("bench", "compare", own_copy / "bench.json", own_copy / "bench.json")


def test_killed_search_is_resumed_or_told_how_to_begin_anew(own_copy: Path) -> None:
    run, front = own_copy / "runs" / "tiny", own_copy / "front.csv"
    words = (
        "search",
        "--run",
        run,
        "--lut",
        own_copy / "lut" / "host.csv",
        *LIMITS,
        "--evaluations",
        600,
        "--out",
        front,
    )
    shutil.copy(own_copy / "journals" / "search-front.safetensors", run)
    result = invoke(*words, "--resume")
    if result.exit_code == 0:
        recorded = np.load(own_copy / "expected" / "run.npz")["front_pareto"]
        space = space_of(own_copy, "tiny")
        assert np.array_equal(space.encode(ParetoFront.read(front, space).archs), recorded)
    else:
        # The journal is bound to what predictor and table say to the last bit, which other processors may not.
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert "search without --resume" in line
        succeed(*words)


def test_killed_measuring_is_resumed(own_copy: Path) -> None:
    journal, specs = own_copy / "journals" / "fake.csv.journal", unique_block_specs(space_of(own_copy, "tiny"))
    measured = journal.read_text()
    run = measure(FakeProfiler(), specs, journal=journal, resume=True)
    assert len(measured) > 1e4
    assert journal.read_text().startswith(measured)
    recorded = json.loads((own_copy / "expected" / "medians.json").read_text())
    assert {measurement.block.key: measurement.median_ms for measurement in run.blocks} == pytest.approx(
        recorded, rel=0.01
    )
