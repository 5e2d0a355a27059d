"""The kinds of files that the toolkit reads: where whole ones are, and what reads each to the end."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import json
import lzma
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open

from ofa_hw.bench import read_benchmark, read_suite
from ofa_hw.bench.benchmark import differences
from ofa_hw.blocks import block_specs
from ofa_hw.cli.main import main
from ofa_hw.cli.options import chosen_arch
from ofa_hw.errors import RunError
from ofa_hw.files import read_text
from ofa_hw.images import load_dataset
from ofa_hw.lut import LatencyTable
from ofa_hw.lut.published_tables import import_tables
from ofa_hw.nn import Supernet
from ofa_hw.nn.published_weights import from_published, num_published_classes, read_published
from ofa_hw.predictor import AccuracyPredictor, read_samples
from ofa_hw.predictor.trees import TreeEnsemble
from ofa_hw.profiling import read_devices
from ofa_hw.profiling.journal import Journal
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions
from ofa_hw.report import read_results
from ofa_hw.run import RunFolder
from ofa_hw.search import ParetoFront
from ofa_hw.search.judge_journal import JudgeJournal
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from ofa_hw.training import load_supernet
from ofa_hw.training.checkpoint import read_last_checkpoint
from ofa_hw.training.runs import training_config

OLD = Path(__file__).parents[1] / "data" / "old" / "f11f99c"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """Files by their patterns below the folder that `prepare` makes; `read` uses the one at a path as commands do."""

    patterns: tuple[str, ...]
    read: Callable[[Path], object]
    weight: float = 2
    seconds: float = 20


def prepare(folder: Path) -> Path:
    """Return a folder with a whole file or more of each kind."""
    shutil.copytree(OLD, folder, dirs_exist_ok=True)
    for path in folder.rglob("*.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    arch = next(iter(read_samples(folder / "runs/tiny/samples.jsonl"))).arch
    (folder / "arch.json").write_text(arch.to_json())
    (folder / "published.yaml").write_text(
        "Conv-input:28x28x1-output:14x14x8:\n  count: 5\n  mean: 1.0\n  std: 0.1\n"
        "expanded_conv-input:14x14x8-output:14x14x8-expand:8-kernel:3-stride:1-idskip:0:\n"
        "  {count: 5, mean: 2, var: 0.1}\n"
    )
    _prepare_trees(folder)
    _prepare_images(folder)
    _prepare_checkpoints(folder)
    return folder


def _prepare_trees(folder: Path) -> None:
    """Make a predictor of six small trees; those of the old set take seconds to read."""
    predictor = AccuracyPredictor.load(folder / "predictors" / "ridge")
    nodes, first = np.arange(18, dtype=np.int32), np.arange(0, 18, 3, dtype=np.int32)
    left, right = nodes.copy(), nodes.copy()
    left[first], right[first] = first + 1, first + 2
    model = TreeEnsemble(
        roots=first.reshape(2, 3),
        left=left,
        right=right,
        feature=nodes % 5,
        threshold=np.full(18, 0.5),
        value=nodes / 100,
        baseline=np.array([0.5, 0.6]),
    )
    regression = dataclasses.replace(predictor.regression, model_name="gbdt", model=model)
    dataclasses.replace(predictor, regression=regression).save(folder / "predictors" / "trees")


def _prepare_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, num in (("train", 60), ("t10k", 20)):
        images, labels = rng.integers(0, 255, (num, 28, 28), np.uint8), np.arange(num, dtype=np.uint8) % 10
        for what, array in (("images", images), ("labels", labels)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            path = folder / "idx" / f"{split}-{what}-idx{array.ndim}-ubyte.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(head + array.tobytes(), 1))
    names = [f"data_batch_{index}" for index in range(1, 6)]
    for form in ("cifar", "cifar-python"):
        (folder / form).mkdir()
        for name in (*names, "test_batch"):
            pixels, labels = rng.integers(0, 255, (10, 3072), np.uint8), np.arange(10, dtype=np.uint8)
            if form == "cifar":
                (folder / form / f"{name}.bin").write_bytes(np.c_[labels, pixels].tobytes())
            else:
                fields = {b"data": pixels, b"labels": labels.tolist()}
                (folder / form / name).write_bytes(pickle.dumps(fields, protocol=2))
    (folder / "cifar" / "batches.meta.txt").write_text("".join(f"class{index}\n" for index in range(10)))
    meta = {b"label_names": [b"class%d" % index for index in range(10)]}
    (folder / "cifar-python" / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    suffixes = ("png", "jpg", "gif", "bmp", "webp", "tif", "ppm")
    for name in ("a", "b"):
        for index in range(8):
            path = folder / "photos" / "train" / name / f"{index}.{suffixes[index % len(suffixes)]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = "I;16" if path.suffix == ".tif" and name == "b" else "RGB"
            pixels = rng.integers(0, 255, (12, 14, 3), np.uint8)
            picture = (
                Image.fromarray(pixels[..., 0].astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(pixels)
            )
            picture.save(path)


def _prepare_checkpoints(folder: Path) -> None:
    (folder / "published").mkdir()
    state = Supernet(tiny(folder)).state_dict()
    torch.save({"state_dict": state}, folder / "published" / "tiny.pth")
    torch.save({0: state["after.1.linear.weight"]}, folder / "published" / "whole-keys.pth")


def tiny(folder: Path) -> SearchSpace:
    """Return the small space of the folder that `prepare` made, which is never mutated."""
    return SearchSpace.from_toml(OLD / "tiny.toml")


# --------------------------------------------------------------------------------------------------- one reader a kind


def _run_of(path: Path) -> RunFolder:
    return RunFolder.open(next(folder for folder in path.parents if folder.parent.name == "runs"))


def _read_table(path: Path) -> None:
    space, table = tiny(path), LatencyTable.read(path)
    genes = space.sample_genes(5, np.random.default_rng(0))
    if table.space == space.name:
        assert (table.latency_ms(space, genes) > 0).all()
    _invoke("lut", "show", path)
    _invoke("lut", "show", path, "--json")


def _read_front(path: Path) -> None:
    front = ParetoFront.read(path, tiny(path))
    front.to_rows()
    assert front.columns


def _read_samples(path: Path) -> None:
    run = _run_of(path)
    run.space.encode(sample.arch for sample in read_samples(path))


def _read_run(path: Path) -> None:
    run = _run_of(path)
    run.space.uniform_arch(resolution=run.space.resolutions[0])
    training_config(run)
    read_results(run)


def _read_space(path: Path) -> None:
    space = get_space(str(path))
    if len(space.position_stages) < 100 and space.largest.resolution < 1000:
        block_specs(space, space.largest)
        space.decode(space.sample_genes(3, np.random.default_rng(0)))


def _read_suite(path: Path) -> None:
    with contextlib.chdir(path.parent):
        read_suite(path)


def _read_predictor(path: Path) -> None:
    """Read the predictor as somebody would craft it: the hashes are those of the files."""
    folder = path.parent
    if path.name != "predictor.json":
        facts = json.loads((folder / "predictor.json").read_text())
        facts["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in facts["sha256"]}
        (folder / "predictor.json").write_text(json.dumps(facts))
    predictor = AccuracyPredictor.load(folder)
    genes = predictor.space.sample_genes(20, np.random.default_rng(0))
    for values in (*predictor.predict(genes), *predictor.interval(genes)):
        assert np.isfinite(values).all()


def _read_checkpoint(path: Path) -> None:
    if path.parent.name == "checkpoints":
        read_last_checkpoint(path.parent)
    else:
        load_supernet(_run_of(path))


def _read_published(path: Path) -> None:
    space, state = tiny(path), read_published(path)
    num_published_classes(space, state)
    Supernet(space).load_published(from_published(space, state))


def _read_images(path: Path) -> None:
    folder = next(folder for folder in path.parents if folder.name in ("idx", "cifar", "cifar-python", "photos"))
    channels = 1 if folder.name == "idx" else 3
    dataset = load_dataset(folder, in_channels=channels, image_size=28, max_bad_images=0)
    assert dataset.channel_statistics


def _read_profile_journal(path: Path) -> None:
    head = json.loads((OLD / "journals" / "fake.csv.journal").read_text().partition("\n")[0])
    journal = Journal(path, tolerance=0.05)
    plan = MeasurementPlan(**head["plan"])
    conditions = RunConditions(**head["conditions"])
    journal.begin(
        names=head["workloads"], plan=plan, conditions=conditions, state=head["state"], seed=head["seed"], resume=True
    )


def _fingerprint() -> str:
    with safe_open(OLD / "journals" / "search-front.safetensors", framework="numpy") as file:
        return str(file.metadata()["fingerprint"])


def _read_search_journal(path: Path) -> None:
    journal = JudgeJournal(lambda genes: (np.zeros((len(genes), 2)), None), path, fingerprint=_fingerprint())
    assert journal.num_known


def _read_arch(path: Path) -> None:
    space = tiny(path)
    space.validate(ArchConfig.from_json(read_text(path)))
    chosen_arch(RunFolder.open(path.parent / "runs" / "tiny"), None, path)


def _read_benchmark(path: Path) -> None:
    told = read_benchmark(path)
    whole = OLD / path.relative_to(next(folder for folder in path.parents if (folder / "fronts").exists()))
    differences(read_benchmark(whole), told)
    _invoke("bench", "compare", whole, path)


def _invoke(*words: object) -> None:
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="ofa-hw")
    if result.exit_code == 1:
        raise RunError(result.output)
    if result.exit_code not in (0, 2, 3):
        raise AssertionError(result.output)


KINDS = {
    "table": Kind(patterns=("lut/*.csv",), read=_read_table, weight=4),
    "front": Kind(patterns=("fronts/*.csv", "runs/tiny/pareto*.csv"), read=_read_front, weight=3),
    "samples": Kind(patterns=("runs/tiny/samples.jsonl",), read=_read_samples),
    "metrics": Kind(patterns=("runs/tiny/metrics.jsonl", "runs/tiny/commands.jsonl"), read=_read_run),
    "results": Kind(
        patterns=("runs/tiny/verified.csv", "runs/tiny/whole_nets.csv", "runs/tiny/predictor/held_out.csv"),
        read=_read_run,
    ),
    "config": Kind(patterns=("runs/tiny/config.toml",), read=_read_run),
    "space": Kind(patterns=("tiny.toml", "tiny-resnet.toml"), read=_read_space, weight=3),
    "devices": Kind(patterns=("ofa-hw.toml",), read=read_devices),
    "suite": Kind(patterns=("suite.toml",), read=_read_suite),
    "predictor": Kind(patterns=("predictors/[mrt]*/[ap]*",), read=_read_predictor, weight=6),
    "trees of before": Kind(patterns=("predictors/gbdt/trees.skops",), read=_read_predictor, weight=0.2, seconds=120),
    "checkpoint": Kind(
        patterns=("runs/*/checkpoints/*", "runs/tiny/supernet.safetensors"), read=_read_checkpoint, weight=4
    ),
    "published checkpoint": Kind(patterns=("published/*",), read=_read_published, weight=2),
    "IDX": Kind(patterns=("idx/*",), read=_read_images),
    "CIFAR": Kind(patterns=("cifar/*", "cifar-python/*"), read=_read_images, weight=3),
    "images": Kind(patterns=("photos/**/*.*",), read=_read_images, weight=4),
    "architecture": Kind(patterns=("arch.json",), read=_read_arch),
    "benchmark": Kind(patterns=("bench.json", "runs/tiny/benchmark.json"), read=_read_benchmark),
    "published table": Kind(
        patterns=("published.yaml",), read=lambda path: import_tables([path], tiny(path), device="x")
    ),
    "journal of profile": Kind(patterns=("journals/*.journal",), read=_read_profile_journal),
    "journal of search": Kind(patterns=("journals/*.safetensors",), read=_read_search_journal),
}
