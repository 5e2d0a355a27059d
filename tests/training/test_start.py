"""A supernet begins with another run's weights: all that fits is kept, the rest is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file

from ofa_hw.cli.main import main
from ofa_hw.errors import RunError
from ofa_hw.importing import import_checkpoint
from ofa_hw.nn import Supernet
from ofa_hw.nn.published_weights import classifier_names
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training import Phase, create_run, load_supernet, move_run, progressive_shrinking, sample_run, train_run
from ofa_hw.training.checkpoint import read_weights
from ofa_hw.training.start import start_from

NAMES = ("a", "b", "c")


def make_photos(folder: Path, classes: tuple[str, ...]) -> str:
    """Four grey images of each class in train, two in val and test; classes differ in brightness."""
    rng = np.random.default_rng(0)
    for split, num in (("train", 4), ("val", 2), ("test", 2)):
        for label, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            for index in range(num):
                pixels = rng.integers(0, 60, (12, 12)) + 180 * label // len(classes)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{index}.png")
    return str(folder)


@pytest.fixture
def imported(tmp_path: Path, tiny_space: SearchSpace) -> RunFolder:
    net = Supernet(tiny_space, generator=torch.Generator().manual_seed(3))
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    run = import_checkpoint(tmp_path / "weights.pth", tiny_space, tmp_path / "imported")
    run.add_to_config("imported", {"file": "weights.pth", "sha256": "0", "mean": [0.3], "std": [0.4]})
    return run


def schedule(space: SearchSpace) -> Callable[[int], tuple[Phase, ...]]:
    return lambda num: progressive_shrinking(space, num_images=96, learning_rate=0.05)


def started(imported: RunFolder, tmp_path: Path, classes: tuple[str, ...], name: str = "run") -> RunFolder:
    photos = tmp_path / f"photos-{name}"
    return create_run(
        tmp_path / name,
        space=imported.space,
        data=make_photos(photos, classes),
        schedule=schedule(imported.space),
        batch_size=8,
        source=imported,
    )


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_all_but_a_classifier_of_other_classes_is_kept(imported: RunFolder, tmp_path: Path) -> None:
    run = started(imported, tmp_path, ("x", "y"))
    theirs, ours = load_supernet(imported).state_dict(), read_weights(run.start_path, Supernet(run.space).state_dict())
    differ = {key for key in ours if ours[key].shape != theirs[key].shape or not torch.equal(ours[key], theirs[key])}
    assert differ == set(classifier_names(run.space))
    assert (run.space.num_classes, run.config["start"]["has_new_classifier"]) == (2, True)
    assert (run.config["data"]["mean"], run.config["data"]["std"]) == ([0.3], [0.4])
    assert run.config["training"]["phases"][0]["name"] == "largest"


def test_training_of_the_same_classes_begins_behind_the_largest_network(imported: RunFolder, tmp_path: Path) -> None:
    """Its teacher is the network that came."""
    run = started(imported, tmp_path, NAMES)
    assert run.config["start"]["has_new_classifier"] is False
    assert [phase["name"] for phase in run.config["training"]["phases"]] == ["kernel", "depth-1", "width-1"]
    train_run(run)
    checkpoint = next(iter(sorted(run.checkpoints_path.glob("*.safetensors"))))
    state = load_file(checkpoint)
    theirs = load_supernet(imported).extract(imported.space.largest).state_dict()
    assert all(torch.equal(state[f"teacher.{key}"], value) for key, value in theirs.items())
    assert not torch.equal(state["net.before.0.conv.weight"], theirs["0.conv.weight"])


def test_same_classes_by_name_are_not_just_as_many(imported: RunFolder, tmp_path: Path) -> None:
    first = started(imported, tmp_path, ("x", "y"), "first")
    train_run(first)
    assert not start_from(first, first.space, ["x", "y"]).has_new_classifier
    assert start_from(first, first.space, ["y", "z"]).has_new_classifier


def test_a_broken_training_ends_with_the_same_weights(imported: RunFolder, tmp_path: Path) -> None:
    """The source may be gone by then."""
    whole, broken = (started(imported, tmp_path, ("x", "y"), name) for name in ("whole", "broken"))
    config = (broken.path / "config.toml").read_text().replace("photos-broken", "photos-whole")
    broken.config_path.write_text(config)
    train_run(whole)
    imported.supernet_path.unlink()
    train_run(broken, resume=True)
    assert whole.supernet_path.read_bytes() == broken.supernet_path.read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"head_channels": 24}, "of another shape: after.0.bn.bias, after.0.bn.running_mean"),
        ({"kernel_sizes": (3,)}, "unknown: stages.0.0.transform_5to3"),
        ({"kernel_sizes": (3, 5, 7)}, "missing: stages.0.0.transform_7to5"),
    ],
)
def test_every_weight_that_does_not_fit_is_named_in_one_line(
    imported: RunFolder, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(RunError) as caught:
        start_from(imported, dataclasses.replace(imported.space, **change), NAMES)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_becomes_one_of_my_classes_without_a_supernet(imported: RunFolder, tmp_path: Path) -> None:
    photos, folder, arch_file = make_photos(tmp_path / "photos", ("x", "y")), tmp_path / "mine", tmp_path / "arch.json"
    arch_file.write_text(imported.space.smallest.to_json())
    words = ("finetune", "--from", imported.path, "--data", photos, "--arch", arch_file, "--run", folder)
    result = invoke(*words, "--images", "640", "--threads", "1")
    assert result.exit_code == 0, result.output
    run = RunFolder.open(folder)
    assert run.space.num_classes == 2
    hint = next(line for line in result.stderr.splitlines() if "next: " in line).partition("next: ofa-hw ")[2]
    result = invoke(*hint.split(), "--format", "onnx")
    assert result.exit_code == 0, result.output
    with pytest.raises(RunError, match=r"classifier of .* is new"):
        sample_run(run, 1)
    result = invoke(*words)
    assert "already holds a run" in result.stderr


def test_finetune_from_wants_its_data_and_its_folder(imported: RunFolder) -> None:
    result = invoke("finetune", "--from", imported.path, "--pick", "1")
    assert (result.exit_code, "give --from, --data and --run together" in result.stderr) == (2, True)


def test_moved_run_of_the_same_classes_is_sampled(imported: RunFolder, tmp_path: Path) -> None:
    run = move_run(imported, tmp_path / "moved", make_photos(tmp_path / "photos", NAMES))
    assert len(sample_run(run, 2)) == 2


def test_train_from_takes_the_space_of_the_run(imported: RunFolder, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", ("x", "y"))
    words = ("train", "--from", imported.path, "--data", photos, "--run", tmp_path / "run", "--epochs", "4")
    result = invoke(*words, "--batch-size", "4", "--threads", "1")
    assert result.exit_code == 0, result.output
    run = RunFolder.open(tmp_path / "run")
    assert run.space.name == "tiny"
    assert run.config["training"]["phases"][0]["learning_rate"] == 0.05
