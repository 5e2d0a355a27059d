"""Trainings that are compared: each leaves one line, is made only once, and goes on where it was interrupted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofa_hw.cli.console import remark
from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl
from ofa_hw.images import load_dataset
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.checkpoint import read_weights
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.evaluate import SubnetJudge
from ofa_hw.training.schedule import Phase
from ofa_hw.training.trainer import Trainer

SEEDS = (0, 1, 2)
FIRST_RATE = 0.3
NUM_VAL_IMAGES = 5_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a space is trained: its phases for a number of images and a rate, and the weights that it starts with."""

    name: str
    schedule: Callable[[SearchSpace, int, float], tuple[Phase, ...]]
    starts_alike: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One training; `alone` names the corner that is trained by itself, else the whole space is."""

    recipe: Recipe
    num_images: int
    learning_rate: float
    seed: int
    alone: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """The images, the space and the folder `keep` of finished trials."""

    name: str
    space: SearchSpace
    train: ImageBatches
    val: ImageBatches
    test: ImageBatches
    keep: Path

    @classmethod
    def open(cls, data: str, keep: Path) -> Bench:
        """Read the images: a folder with train/ is of three channels, any other is Fashion-MNIST's."""
        space, name = get_space("fashion"), "fashion"
        if (Path(data) / "train").is_dir():
            name = "cifar"
            space = dataclasses.replace(space, name=name, in_channels=3, resolutions=(24, 28, 32))
        dataset = load_dataset(data, in_channels=space.in_channels, image_size=space.resolutions[-1])
        mean, std = dataset.channel_statistics(space.in_channels, space.resolutions[-1])
        train, val, test = (
            ImageBatches(part, mean=mean, std=std) for part in (dataset.train, dataset.val, dataset.test)
        )
        return cls(name=name, space=space, train=train, val=val.draw(NUM_VAL_IMAGES), test=test, keep=keep)

    @property
    def corners(self) -> dict[str, ArchConfig]:
        """The eight subnets of extreme kernel size, depth and expand ratio, at the largest resolution."""
        space = self.space
        return {
            f"k{kernel_size} d{depth} e{expand_ratio}": space.uniform_arch(
                resolution=space.resolutions[-1], kernel_size=kernel_size, depth=depth, expand_ratio=expand_ratio
            )
            for kernel_size in (space.kernel_sizes[0], space.kernel_sizes[-1])
            for depth in (space.depths[0], space.depths[-1])
            for expand_ratio in (space.expand_ratios[0], space.expand_ratios[-1])
        }

    def result(self, trial: Trial) -> dict[str, Any]:
        """Return the row of a trial: `val` (mean top-1), `test` (top-1 by subnet), `cpu_seconds` where it ran through.

        It is made now, or kept from an earlier run.
        """
        wanted = self._described(trial)
        for row in read_jsonl(self.keep / "trials.jsonl"):
            if row["trial"] == wanted:
                return row
        row = {"trial": wanted} | self._train(trial)
        append_jsonl(self.keep / "trials.jsonl", row)
        remark(f"{self._run(trial).path.name}: val {row['val']:.4f}")
        return row

    def supernet(self, trial: Trial) -> Supernet:
        """Return the trained network of a trial."""
        net = Supernet(self._space_of(trial))
        net.load_state_dict(read_weights(self._run(trial).supernet_path, net.state_dict()))
        return channels_last(net).eval()

    def judge(self, net: Supernet, images: ImageBatches) -> SubnetJudge:
        """Return the judge of subnets of `net` on `images`."""
        return SubnetJudge(net, self.train, images, num_calibration_images=1000, checkpoint="")

    def best_rate(self, recipe: Recipe, num_images: int, alone: str = "") -> float:
        """Return the learning rate that is best on validation images with the first seed.

        It is doubled, then halved, for as long as that helps. A training that collapses counts as the worst.
        """

        def on_val(rate: float) -> float:
            trial = Trial(recipe=recipe, num_images=num_images, learning_rate=rate, seed=SEEDS[0], alone=alone)
            try:
                return float(self.result(trial)["val"])
            except RunError as error:
                remark(f"{self._run(trial).path.name}: {error}")
                return 0.0

        rate = FIRST_RATE
        for factor in (2.0, 0.5):
            while on_val(rate * factor) > on_val(rate):
                rate *= factor
        return rate

    def of_all_seeds(self, recipe: Recipe, num_images: int, rate: float, alone: str = "") -> list[Trial]:
        """Return the trials of all seeds."""
        return [
            Trial(recipe=recipe, num_images=num_images, learning_rate=rate, seed=seed, alone=alone) for seed in SEEDS
        ]

    def _described(self, trial: Trial) -> dict[str, Any]:
        plain = {field.name: getattr(trial, field.name) for field in dataclasses.fields(trial)}
        return {"data": self.name} | plain | {"recipe": trial.recipe.name}

    def _run(self, trial: Trial) -> RunFolder:
        words = " ".join(str(value) for value in self._described(trial).values())
        return RunFolder(self.keep / "runs" / "-".join(words.replace(",", "").split()))

    def _space_of(self, trial: Trial) -> SearchSpace:
        if not trial.alone:
            return self.space
        arch = self.corners[trial.alone]
        block = arch.stages[0][0]
        return dataclasses.replace(
            self.space,
            resolutions=(arch.resolution,),
            kernel_sizes=(block.kernel_size,),
            expand_ratios=(block.expand_ratio,),
            depths=(len(arch.stages[0]),),
        )

    def _train(self, trial: Trial) -> dict[str, Any]:
        space = self._space_of(trial)
        phases = trial.recipe.schedule(space, trial.num_images, trial.learning_rate)
        config = TrainingConfig(phases=phases, seed=trial.seed, batch_size=64)
        net = Supernet(space, generator=torch.Generator().manual_seed(trial.seed))
        if trial.recipe.starts_alike:
            net.start_alike()
        trainer = Trainer(net, config, self._run(trial), train=self.train, val=self.val.draw(250))
        is_whole = not trainer.resume()
        began = time.process_time()
        trainer.train()
        spent = time.process_time() - began
        archs = {trial.alone: space.largest} if trial.alone else self.corners
        on_val, on_test = (self._top1(net, list(archs.values()), images) for images in (self.val, self.test))
        return {
            "cpu_seconds": spent if is_whole else None,
            "val": float(np.mean(on_val)),
            "test": dict(zip(archs, on_test, strict=True)),
        }

    def _top1(self, net: Supernet, archs: Sequence[ArchConfig], images: ImageBatches) -> list[float]:
        return [scored.top1 for scored in self.judge(net, images).judge_together(archs)]
