"""A supernet small enough to train in a test, and images for it, for tests and for the processes that they start."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from ofa_hw.images import ImageSet
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace, StageSpec
from ofa_hw.training.batches import ImageBatches


def make_space() -> SearchSpace:
    stage = StageSpec(out_channels=8, stride=2, activation="h_swish", use_se=False)
    return SearchSpace(
        name="tiny",
        resolutions=(8, 12),
        stages=(stage, dataclasses.replace(stage, out_channels=16, use_se=True)),
        kernel_sizes=(3, 5),
        expand_ratios=(2, 3),
        depths=(1, 2),
        in_channels=1,
        num_classes=3,
        stem_channels=8,
        stem_stride=1,
        first_channels=0,
        head_expand_channels=0,
        head_channels=16,
    )


def make_images() -> ImageBatches:
    """Three classes of 12x12 images that differ in where they are bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 3
    pixels = rng.integers(0, 120, size=(96, 1, 12, 12))
    for image, label in zip(pixels, labels, strict=True):
        image[0, 4 * label : 4 * label + 4] += 120
    images = ImageSet(pixels=pixels.astype(np.uint8), labels=labels.astype(np.int64), classes=("a", "b", "c"))
    return ImageBatches(images, mean=(0.4,), std=(0.25,))


def make_run(folder: Path) -> RunFolder:
    """The folder as that of a run, which has its config.toml."""
    run = RunFolder(folder)
    run.path.mkdir(parents=True, exist_ok=True)
    run.config_path.touch()
    return run
