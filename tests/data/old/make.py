"""Make a set of files by the version of ofa-hw that is on the path, for later versions to read: see README.md.

python tests/data/old/make.py FOLDER
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ofa_hw import get_space, list_spaces, num_macs, num_params
from ofa_hw.blocks import block_specs, unique_block_specs
from ofa_hw.cost import PeakMemory
from ofa_hw.lut import LatencyTable
from ofa_hw.nn import Supernet
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.profiling import measure
from ofa_hw.run import RunFolder
from ofa_hw.search import ParetoFront
from ofa_hw.training import load_supernet, open_images
from tests.profiling.fake import FakeProfiler

TINY = """\
# Inverted residuals with and without a gate, of three activations, behind a static block.
name = "tiny"
in_channels = 1
num_classes = 10
resolutions = [20, 28]
kernel_sizes = [3, 5]
expand_ratios = [2, 3]
depths = [1, 2]
stem_channels = 8
stem_activation = "relu6"
first_channels = 8
head_expand_channels = 32
head_channels = 32

[[stages]]
out_channels = 8
stride = 2
activation = "relu"
use_se = true

[[stages]]
out_channels = 16
stride = 2
activation = "h_swish"
kernel_sizes = [3, 5, 7]
"""

TINY_RESNET = """\
# A stem of plain convolutions, bottlenecks, and stages that choose their width.
name = "tiny-resnet"
in_channels = 1
num_classes = 10
resolutions = [20, 28]
kernel_sizes = [3]
expand_ratios = [0.25, 0.5]
depths = [1, 2]
width_ratios = [0.5, 1.0]
stem_channels = 0
first_channels = 0
head_expand_channels = 0
head_channels = 0

[[stages]]
kind = "conv"
out_channels = 8
stride = 2
activation = "relu"

[[stages]]
kind = "conv_pool"
out_channels = 16
stride = 2
activation = "relu"
depths = [1]

[[stages]]
kind = "bottleneck"
out_channels = 32
stride = 1
activation = "relu"

[[stages]]
kind = "bottleneck"
out_channels = 48
stride = 2
activation = "relu"
"""

SUITE = """\
name = "old"

[models]
net = "runs/tiny/exported/{net}.tflite"

[blocks]
fashion = {{ space = "fashion", resolutions = [28], keys = ["conv-*", "mbconv-r7-i24-m72-*-k5-*"] }}
tiny = {{ space = "tiny.toml" }}
"""

DEVICES = """\
[devices.my-phone]
description = "a phone by USB"
runtime = "tflite"
transport = "adb"
serial = "1A2B3C4D"
benchmark_model = "tools/benchmark_model"
cpu_mask = "0xf0"
num_threads = 2
dtype = "int8"

[devices.my-board]
runtime = "tflite"
transport = "ssh"
host = "board.local"
port = 2222
user = "me"
identity_file = "~/.ssh/board"
ssh_config = "ssh_config"
python = "python3.11"
cpu_mask = "0x8"

[devices.my-jetson]
runtime = "onnxruntime"
transport = "ssh"
host = "jetson.local"
provider = "CUDAExecutionProvider"

[devices.my-rpc-board]
runtime = "tvm"
transport = "rpc"
tracker = "tracker.local:9190"
key = "board"
target = { kind = "llvm", mtriple = "aarch64-linux-gnu", mcpu = "cortex-a72" }
cross_compiler = "aarch64-linux-gnu-g++"
tune = true
tune_database = "tuned"
batch_size = 4
"""


def call(*words: object) -> str:
    """Return what the command line prints."""
    command = [sys.executable, "-m", "ofa_hw", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def train(space: str, run: str, *words: object, killed_at: str | None = None) -> None:
    """Train; with `killed_at` only until there is a checkpoint of that name, in place of every 500 steps every 5."""
    words = ("train", "--space", space, "--run", run, "--strategy", "progressive-shrinking", *words, "--threads", 1)
    if killed_at is None:
        call(*words)
        return
    process = subprocess.Popen([sys.executable, "-c", CHECKPOINT_OFTEN, *map(str, words)])
    while not (Path(run) / "checkpoints" / killed_at).exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (Path(run) / "supernet.safetensors").exists()


CHECKPOINT_OFTEN = """
import dataclasses, ofa_hw.training.runs as runs
from ofa_hw.cli.main import main
made = runs.TrainingConfig
runs.TrainingConfig = lambda **fields: made(**fields, checkpoint_every=5)
runs.TrainingConfig.from_dict = made.from_dict
main()
"""

DIE_WHILE_SEARCHING = """
import os, signal
from ofa_hw.cli.main import main
from ofa_hw.search import judge_journal as journal
journal.INTERVAL_S = 0
flush = journal.JudgeJournal.flush
def flush_and_die(self):
    flush(self)
    if sum(len(genes) for genes, _ in self._parts) >= 400:
        os.kill(os.getpid(), signal.SIGKILL)
journal.JudgeJournal.flush = flush_and_die
main()
"""


def make_run() -> None:
    """Take the run `tiny` through every command."""
    run = Path("runs/tiny")
    train("tiny.toml", str(run), "--epochs", 2)
    call("sample", "--run", run, "--num", 60, "--threads", 2)
    for model in ("gbdt", "ridge", "mlp"):
        call("fit", "--run", run, "--model", model, *(["--learning-curve"] if model == "ridge" else []))
        (shutil.copytree if model == "mlp" else shutil.move)(run / "predictor", Path("predictors") / model)
    call("profile", "--space", run, "--out", "lut/uncalibrated.csv", "--max-seconds", 20)
    shutil.copy("lut/uncalibrated.csv", "lut/host.csv")
    call("calibrate", "--lut", "lut/host.csv", "--space", run, "--num-fit", 6, "--num-held-out", 4)
    call("profile", "--device", "host-ort", "--space", run, "--out", "lut/host-ort.csv", "--max-seconds", 20)
    call("sample", "--run", run, "--num", 62, "--threads", 2)
    call("search", "--run", run, "--lut", "lut/host.csv", "--lut", "lut/host-ort.csv", "--max-latency", "host=1ms",
         "--evaluations", 500)  # fmt: skip
    shutil.move(run / "pareto.csv", "fronts/robust.csv")
    words = ["search", "--run", run, "--lut", "lut/host.csv", "--max-latency", "1ms", "--max-params", "1M"]
    search = [str(word) for word in (*words, "--max-peak-memory", "1MB", "--min-top1", "1%", "--evaluations", 600)]
    sizes = ["--objective", "top1", "--objective", "macs", "--objective", "params", "--evaluations", "500"]
    call("search", "--run", run, *sizes, "--out", "fronts/sizes.csv")
    call(*search)
    call("verify", "--run", run, "--lut", "lut/host.csv", "--num", 2, "--num-random", 3, "--finetune-images", 640,
         "--threads", 2)  # fmt: skip
    for form in ("tflite-int8", "onnx"):
        call("export", "--run", run, "--pick", 1, "--format", form)
    call("export", "--run", run, "--pick", 1, "--pixels", "--out", run / "exported" / "pixels.tflite")
    call("report", "--run", run, "--lut", "lut/host.csv")
    shutil.copytree(run, "killed-search/runs/tiny", ignore=lambda *_: ["exported", "checkpoints"])
    shutil.copytree("lut", "killed-search/lut")
    ended = subprocess.run([sys.executable, "-c", DIE_WHILE_SEARCHING, *search], cwd="killed-search", check=False)
    assert ended.returncode == -signal.SIGKILL
    (journal,) = Path("killed-search/runs/tiny").glob("search-*.safetensors")
    shutil.copy(journal, "journals")
    shutil.rmtree("killed-search")
    Path("suite.toml").write_text(SUITE.format(net=next((run / "exported").glob("*.int8.tflite")).name.split(".")[0]))
    call("bench", "--suite", "suite.toml", "--processes", 2, "--max-seconds", 5, "--out", "bench.json")


def expect_of_spaces(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Write what there is to know of each space, and return genes of each."""
    all_genes, archs, shapes = {}, {}, {}
    for name in (*list_spaces(), "tiny.toml", "tiny-resnet.toml"):
        space = get_space(name)
        chosen = [space.smallest, space.largest, *space.sample(10, rng)]
        all_genes[space.name] = space.encode(chosen)
        archs[space.name] = [
            {
                "arch_id": arch.arch_id,
                "arch": arch.to_dict(),
                "macs": num_macs(space, arch),
                "params": num_params(space, arch),
                "peak_bytes": int(PeakMemory(space=space).evaluate(space.encode([arch]))[0]),
                "blocks": [spec.key for spec in block_specs(space, arch)],
            }
            for arch in chosen
        ]
        with torch.device("meta"):
            state = Supernet(space).state_dict()
        shapes[space.name] = {key: list(tensor.shape) for key, tensor in state.items()}
    np.savez_compressed("expected/genes.npz", **all_genes)
    for name, value in (("archs", archs), ("shapes", shapes)):
        Path(f"expected/{name}.json.gz").write_bytes(gzip.compress(json.dumps(value).encode(), 9, mtime=0))
    return all_genes


def expect_of_run(genes: np.ndarray) -> None:
    """Write what the networks of the run are worth: logits, predictions, latencies, fronts."""
    run = RunFolder.open("runs/tiny")
    expected: dict[str, np.ndarray] = {"genes": genes}
    test, net = open_images(run).test, load_supernet(run)
    for index, arch in enumerate(run.space.decode(genes[:3])):
        with torch.no_grad():
            expected[f"logits_{index}"] = net(next(test.all_at(arch.resolution, 4)), arch).numpy()
    for model in ("gbdt", "ridge", "mlp"):
        predictor = AccuracyPredictor.load(f"predictors/{model}")
        expected[f"{model}_mean"], expected[f"{model}_std"] = predictor.predict(genes)
        expected[f"{model}_low"], expected[f"{model}_high"] = predictor.interval(genes)
    for name in ("uncalibrated", "host", "host-ort"):
        expected[f"{name}_ms"] = LatencyTable.read(f"lut/{name}.csv").latency_ms(run.space, genes)
    table = LatencyTable.read("lut/host.csv")
    expected["host_sum_ms"] = table.sum_ms(run.space, genes)
    expected["host_low_ms"], expected["host_high_ms"] = table.interval_ms(run.space, genes)
    for path in [*Path("fronts").glob("*.csv"), *Path("runs/tiny").glob("pareto*.csv")]:
        expected[f"front_{path.stem}"] = run.space.encode(ParetoFront.read(path, run.space).archs)
    np.savez_compressed("expected/run.npz", **expected)


def kill_profile() -> None:
    """Leave the journal of measuring the blocks of `tiny` on the tests' fake device, and the medians at its end."""
    specs = unique_block_specs(get_space("tiny.toml"))
    whole = measure(FakeProfiler(), specs)
    medians = {measurement.block.key: measurement.median_ms for measurement in whole.blocks}
    Path("expected/medians.json").write_text(json.dumps(medians, indent=0))
    try:
        measure(FakeProfiler(fails_after=30_000), specs, journal=Path("journals/fake.csv.journal"))
    except KeyboardInterrupt:
        return
    raise AssertionError("must have been killed")


def main(folder: Path) -> None:
    """Make the files in `folder`, which must be new."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    for name in ("expected", "journals", "fronts", "predictors"):
        Path(name).mkdir()
    rng = np.random.default_rng(11)
    for name, text in (("tiny.toml", TINY), ("tiny-resnet.toml", TINY_RESNET), ("ofa-hw.toml", DEVICES)):
        Path(name).write_text(text)
    make_run()
    genes = expect_of_spaces(rng)
    expect_of_run(genes["tiny"])
    train("tiny.toml", "runs/killed", "--epochs", 2, killed_at="phase03-step0000010.safetensors")
    train("tiny-resnet.toml", "runs/resnet", "--epochs", 1)
    train("tiny-resnet.toml", "runs/killed-resnet", "--epochs", 1, killed_at="phase03-step0000010.safetensors")
    kill_profile()
    drop_what_can_be_made_anew()


def drop_what_can_be_made_anew() -> None:
    """Keep the set small: pages, pictures and all checkpoints but those to resume from go, trees are compressed."""
    for path in [*Path("runs").glob("*/report.html"), *Path("runs").glob("*/report.png")]:
        path.unlink()
    for folder in Path("runs").glob("*/checkpoints"):
        is_trained = (folder.parent / "supernet.safetensors").exists()
        for path in sorted(folder.iterdir())[: None if is_trained else -1]:
            path.unlink()
    for path in Path().rglob("trees.skops"):
        path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
