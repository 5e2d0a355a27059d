"""A space of universal inverted bottlenecks goes through every command, on every runtime."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ofa_hw.cli.main import main
from ofa_hw.lut import LatencyTable

SPACE = """
name = "small-uib"
in_channels = 1
resolutions = [20]
expand_ratios = [2, 3]
depths = [1, 2]
stem_channels = 8
stem_activation = "relu"
first_channels = 0
head_kind = "normed_head"
head_expand_channels = 24
head_channels = 32
head_activation = "relu"

[[stages]]
kind = "uib"
out_channels = 16
stride = 2
activation = "relu"
start_kernel_sizes = [0, 3]
kernel_sizes = [0, 3, 5]

[[stages]]
kind = "uib"
out_channels = 24
stride = 2
activation = "relu"
start_kernel_sizes = [0, 3]
kernel_sizes = [0, 3, 5]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was trained, sampled and fitted."""
    folder = tmp_path_factory.mktemp("uib")
    (folder / "small-uib.toml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        short = ("--strategy", "progressive-shrinking", "--epochs", "0.6", "--threads", "1", "--batch-size", "32")
        for words in (
            ("train", "--space", "small-uib.toml", "--run", "run", *short),
            ("sample", "--run", "run", "--num", "24"),
            ("fit", "--run", "run", "--model", "ridge"),
        ):
            run(*words)
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, f"{words}: {result.output}"
    return result


def test_choices_of_kernels_open_in_their_phase(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in rows if row["kind"] == "phase_end"] == ["largest", "kernel", "depth-1", "width-1"]
    samples = [json.loads(line)["arch"] for line in (folder / "run" / "samples.jsonl").read_text().splitlines()]
    assert {size for arch in samples for stage in arch["stages"] for size in stage["start_kernel_size"]} == {0, 3}


@pytest.mark.parametrize(
    ("device", "package"),
    [("host", "ai_edge_litert"), ("host-ort", "onnxruntime"), ("host-torch", "torch"), ("host-tvm", "tvm")],
)
def test_blocks_are_profiled_and_searched_with(device: str, package: str) -> None:
    pytest.importorskip(package)
    table = f"{device}.csv"
    # TVM compiles for a second a block: there the space has no second block in a stage, and fewer kernels.
    few = SPACE.replace("depths = [1, 2]", "depths = [1]").replace("kernel_sizes = [0, 3, 5]", "kernel_sizes = [0, 3]")
    Path("few.toml").write_text(few)
    space = "few.toml" if device == "host-tvm" else "run"
    words = ("--max-seconds", "5", "--out", table)
    run("profile", "--device", device, "--space", space, *words)
    attributes = {row.block.attributes for row in LatencyTable.read(table).measurements}
    assert (("start_kernel_size", 3),) in attributes
    assert (("start_kernel_size", 0),) in attributes
    if space == "run":
        run("search", "--run", "run", "--lut", table, "--evaluations", "200", "--out", f"{device}-front.csv")
        assert "predicted_latency_ms" in Path(f"{device}-front.csv").read_text()


@pytest.mark.parametrize("form", ["tflite", "tflite-int8", "onnx"])
def test_networks_are_searched_and_exported(form: str) -> None:
    pytest.importorskip("ai_edge_litert" if "tflite" in form else "onnx")
    run("search", "--run", "run", "--objective", "top1", "--objective", "macs", "--evaluations", "400")
    found = json.loads(run("export", "--run", "run", "--pick", "1", "--format", form, "--json").stdout)
    assert Path(found["path"]).is_file()
