"""The command line on photos: options that belong to them, and one line for what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ofa_hw.cli.main import main
from ofa_hw.run import RunFolder

SPACE = """name = "photos"
resolutions = [72, 96]
kernel_sizes = [3]
expand_ratios = [2]
depths = [1]
in_channels = 3
num_classes = 2
stem_channels = 8
stem_stride = 2
first_channels = 0
head_expand_channels = 0
head_channels = 8

[[stages]]
out_channels = 8
stride = 2
activation = "relu"
use_se = false
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / "train" / name / f"{number}.jpg")
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path


def invoke(photos: Path, *words: str) -> tuple[int, str]:
    common = ["--space", str(photos / "space.toml"), "--data", str(photos / "photos"), "--run", str(photos / "run")]
    result = CliRunner().invoke(main, ["train", *common, "--batch-size", "4", "--epochs", "1", *words])
    return result.exit_code, result.output


def test_photos_are_trained_as_the_options_say(photos: Path) -> None:
    words = ["--augmentation", "trivial", "--crop-scale", "0.3", "0.9", "--workers", "1", "--cache-size", "0"]
    code, output = invoke(photos, *words, "--strategy", "all-at-once")
    assert code == 0, output
    run = RunFolder.open(photos / "run")
    augmentation = run.config["training"]["augmentation"]
    assert (augmentation["policy"], augmentation["scale"], augmentation["erasing"]) == ("trivial", [0.3, 0.9], 0.1)
    assert max(path.stat().st_size for path in run.images_path.glob("*.pixels")) < 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--augmentation", "shift", "--erasing", "0.1"], "--augmentation shift cuts nothing out"),
        (["--crop-scale", "0.5", "0.1"], "scale must be parts of the area"),
        (["--cache-size", "much"], "such as 256KiB or 1.5MB"),
    ],
)
def test_option_that_cannot_be_is_told(photos: Path, words: list[str], message: str) -> None:
    code, output = invoke(photos, *words)
    assert code != 0
    assert message in " ".join(output.replace("│", "").split())


def test_damaged_photo_is_told_in_one_line(photos: Path) -> None:
    (photos / "photos" / "train" / "cat" / "3.jpg").write_bytes(b"no photo")
    code, output = invoke(photos, "--workers", "0")
    assert code == 1
    errors = [line for line in output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert "cat/3.jpg is not a whole image" in errors[0]
    assert "--max-bad-images" in errors[0]
    code, output = invoke(photos, "--workers", "0", "--max-bad-images", "1", "--run", str(photos / "other"))
    assert code == 0, output
