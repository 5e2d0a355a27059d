"""A checkpoint becomes a run with all of its weights, or an error that names what is wrong."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

from ofa_hw.cli.main import main
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.importing import IMAGENET, import_checkpoint
from ofa_hw.nn import Supernet
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from ofa_hw.training import load_supernet, open_images, sample_run
from tests.nn.once_for_all import make_weights

SPACE = get_space("fashion")


def weights_of(num_classes: int = 7) -> dict[str, Any]:
    space = dataclasses.replace(SPACE, num_classes=num_classes)
    return Supernet(space, generator=torch.Generator().manual_seed(0)).state_dict()


def saved(tmp_path: Path, state: Any) -> Path:
    torch.save(state, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="ofa-hw")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_run_has_the_weights_and_their_classes(tmp_path: Path, ending: str) -> None:
    state, file = weights_of(), tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save({"state_dict": state, "epoch": 3}, file)
    else:
        save_file(state, file)
    run = import_checkpoint(file, SPACE, tmp_path / "run")
    assert run.space == dataclasses.replace(SPACE, num_classes=7)
    assert run.config["imported"]["file"] == file.name
    imported = load_supernet(run).state_dict()
    assert imported.keys() == state.keys()
    assert all(torch.equal(imported[key], state[key]) for key in state)


def test_published_names_become_a_run(tmp_path: Path) -> None:
    file, space = (
        saved(tmp_path, {"state_dict": make_weights("ofa-mobilenetv3-w1.0")}),
        get_space("ofa-mobilenetv3-w1.0"),
    )
    run = import_checkpoint(file, space, tmp_path / "run")
    net = Supernet(space)
    net.load_published(torch.load(file, weights_only=True))
    imported = load_supernet(run).state_dict()
    assert all(torch.equal(imported[key], tensor) for key, tensor in net.state_dict().items())


def without_first(state: dict[str, Any]) -> dict[str, Any]:
    return {key: state[key] for key in list(state)[1:]}


def with_nan(state: dict[str, Any]) -> dict[str, Any]:
    state["after.1.linear.bias"][2] = float("nan")
    return state


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_first, r"1 missing \(the first is before\.0\.conv\.weight\)"),
        (lambda state: state | {"extra": torch.zeros(1)}, r"1 unknown \(the first is extra\)"),
        (lambda state: state | {"module.before.0.conv.weight": state["before.0.conv.weight"]}, "1 unknown"),
        (lambda state: state | {"classifier.linear.bias": torch.zeros(7)}, "must stand once .* are the same"),
        (lambda state: state | {"before.0.conv.weight": torch.zeros(3)}, "1 of another shape"),
        (lambda state: state | {"note": "mine"}, "1 are not, the first is 'note'"),
        (lambda state: {"state_dict": 3}, "must hold tensors by their names"),
        (lambda state: {}, "must hold tensors by their names"),
        (lambda state: [1], "must hold a state dict; came a list"),
        (lambda state: {"before.0.conv.weight": torch.zeros(3)}, "must have a classifier"),
        (with_nan, r"must be finite; 1 are not, the first is after\.1\.linear\.bias"),
        (lambda state: state | {"weird": Path("a pickle that is code")}, "tensors alone"),
    ],
)
def test_what_does_not_fit_is_named_and_leaves_no_run(tmp_path: Path, change: Any, told: str) -> None:
    file = saved(tmp_path, change(weights_of()))
    with pytest.raises(InvalidInputError, match=told) as caught:
        import_checkpoint(file, SPACE, tmp_path / "run")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_damaged_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x50\x4b nothing of the kind")
    result = invoke("import-checkpoint", tmp_path / name, "--space", "fashion", "--run", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "must be a .safetensors file or a torch checkpoint" in result.stderr


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    result = invoke("import-checkpoint", tmp_path / "none.pth", "--space", "fashion", "--run", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "none.pth" in result.stderr


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    file = saved(tmp_path, weights_of())
    run = import_checkpoint(file, SPACE, tmp_path / "run")
    before = run.supernet_path.read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        import_checkpoint(saved(tmp_path, weights_of(3)), SPACE, tmp_path / "run")
    assert run.supernet_path.read_bytes() == before


def test_wrong_class_count_for_a_supernet_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has 7 classes, 'fashion' has 10"):
        Supernet(SPACE).load_published(weights_of(7))


def test_command_makes_the_run_and_those_that_need_images_say_so(tmp_path: Path) -> None:
    file, folder = saved(tmp_path, weights_of()), tmp_path / "run"
    result = invoke("import-checkpoint", file, "--space", "fashion", "--run", folder, "--json")
    assert json.loads(result.stdout) == {"run": str(folder), "space": "fashion", "num_classes": 7}
    assert RunFolder.open(folder).space.num_classes == 7
    arch_file = tmp_path / "arch.json"
    arch_file.write_text(SPACE.smallest.to_json())
    for words, told in (
        (("sample", "--num", "1"), f"`ofa-hw data FOLDER --run {folder}`"),
        (("train", "--resume"), "must have a table [training]"),
        (("export", "--arch", arch_file), "must have a table [data]"),
    ):
        result = invoke(*words, "--run", folder)
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert (result.exit_code, len(lines)) == (1, 1), result.output
        assert told in lines[0]


def test_imported_run_with_images_is_sampled_fitted_tuned_and_exported(tmp_path: Path) -> None:
    file, folder = saved(tmp_path, weights_of(10)), tmp_path / "run"
    words = ("--data", "fashion-mnist-5000", "--mean", "0.25", "--std", "0.5")
    assert invoke("import-checkpoint", file, "--space", "fashion", "--run", folder, *words).exit_code == 0
    run = RunFolder.open(folder)
    assert (run.config["data"]["mean"], run.config["data"]["std"]) == ([0.25], [0.5])
    arch_file = tmp_path / "arch.json"
    arch_file.write_text(SPACE.smallest.to_json())
    for words in (
        ("sample", "--num", "10"),
        ("fit", "--model", "ridge"),
        ("search", "--objective", "top1", "--objective", "macs", "--evaluations", "200"),
        ("finetune", "--arch", arch_file, "--images", "64"),
        ("export", "--arch", arch_file, "--format", "onnx"),
    ):
        result = invoke(*words, "--run", folder)
        assert result.exit_code == 0, result.output
    card = (folder / "exported" / f"{SPACE.smallest.arch_id}.onnx.md").read_text()
    assert "0.25" in card
    assert run.config["imported"]["sha256"] in card


def test_images_come_later_and_once(tmp_path: Path) -> None:
    folder = import_checkpoint(saved(tmp_path, weights_of(10)), SPACE, tmp_path / "run").path
    told = ("--mean", "0.3", "--std", "0.4")
    result = invoke("data", "fashion-mnist-5000", "--run", folder, *told)
    assert result.exit_code == 0, result.output
    assert RunFolder.open(folder).config["data"]["mean"] == [0.3]
    result = invoke("data", "fashion-mnist-5000", "--run", folder, *told)
    assert "that has none" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--mean", "0.3", "--std", "0.4"), "the weights know 7 classes, the images of fashion-mnist-5000 have 10"),
        ((), "mean and std must hold 1 numbers each"),
        (("--mean", "0.3", "--std", "0"), "those of std above 0"),
        (("--mean", "0.3"), "both --mean and --std"),
        (("--mean", "a", "--std", "0.4"), "a number for each channel"),
    ],
)
def test_images_that_do_not_fit_leave_no_run(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    file = saved(tmp_path, weights_of(7))
    command = ("import-checkpoint", file, "--space", "fashion", "--run", tmp_path / "run")
    result = invoke(*command, "--data", "fashion-mnist-5000", *words)
    assert result.exit_code in (1, 2)
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_photos_are_normalised_as_imagenet_where_nothing_else_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, name, index in itertools.product(("train", "val", "test"), "ab", range(2)):
        path = tmp_path / "photos" / split / name / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    space = dataclasses.replace(SPACE, in_channels=3, num_classes=2)
    file = saved(tmp_path, Supernet(space, generator=torch.Generator().manual_seed(0)).state_dict())
    run = import_checkpoint(file, space, tmp_path / "run", data=str(tmp_path / "photos"))
    assert open_images(run).val.mean == IMAGENET.mean
    assert len(sample_run(run, 1)) == 1
