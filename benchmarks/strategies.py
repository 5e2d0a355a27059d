"""In which order choices should open, and what sharing weights costs: strategies compared at the same number of images.

    python -m benchmarks.strategies compare --data /usr/share/datasets/fashion-mnist --images 60000
    python -m benchmarks.strategies recipes --data /usr/share/datasets/fashion-mnist --images 60000
    python -m benchmarks.strategies alone --data /usr/share/datasets/fashion-mnist --images 60000

The data are the whole Fashion-MNIST (Debian's package dataset-fashion-mnist) or a folder of CIFAR-10 as JPEG with
train/ and test/. The learning rate of each is tuned on validation images; what is told is top-1 on the test images.
Each training that ends leaves a line in trials.jsonl of --keep: what was killed goes on from there, and several
commands may run at once. Give another --keep after a change of what training does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy import stats

from benchmarks.note import write_note
from ofa_hw.cli.console import remark
from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from ofa_hw.training import FinetuneConfig, finetune, prepare_cpu
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.checkpoint import read_weights
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.data import load_dataset
from ofa_hw.training.evaluate import SubnetJudge, predict_logits, score_logits
from ofa_hw.training.schedule import Phase, all_at_once, progressive_shrinking
from ofa_hw.training.trainer import Trainer

SEEDS = (0, 1, 2)
FIRST_RATE = 0.3
SANDWICH_SHARE = 0.54
"""Of the images, so that the sandwich rule costs about what all-at-once does.

468 against 869 images a second of one core, seen once with 12,800 images on a busy machine; the table tells the cost.
"""
NUM_VAL_IMAGES = 5_000
REFERENCE = "all-at-once"

Schedule = Callable[[SearchSpace, int, float], tuple[Phase, ...]]


# ------------------------------------------------------------------------------------------------------- recipes


def _with(phases: Iterable[Phase], **changes: Any) -> tuple[Phase, ...]:
    """Return the phases with `changes` made in each but a first of one subnet."""
    return tuple(phase if phase.name == "largest" else dataclasses.replace(phase, **changes) for phase in phases)


def _shrinking(space: SearchSpace, num_images: int, rate: float) -> tuple[Phase, ...]:
    return progressive_shrinking(space, num_images=num_images, learning_rate=rate)


def _all_at_once(space: SearchSpace, num_images: int, rate: float) -> tuple[Phase, ...]:
    return all_at_once(space, num_images=num_images, learning_rate=rate)


def _sandwich(space: SearchSpace, num_images: int, rate: float) -> tuple[Phase, ...]:
    num_images = round(num_images * SANDWICH_SHARE)
    return all_at_once(space, num_images=num_images, learning_rate=rate, in_place=True)


STRATEGIES: dict[str, Schedule] = {
    "all-at-once": _all_at_once,
    "progressive-shrinking": _shrinking,
    "sandwich, same cost": _sandwich,
}

RECIPES: dict[str, Schedule] = {
    "progressive shrinking, no teacher": lambda *given: _with(_shrinking(*given), distill_weight=0.0),
    "all at once, both subnets spread": lambda *given: _with(_all_at_once(*given), num_spread=2),
    "all at once, one subnet a step": lambda *given: _with(_all_at_once(*given), num_subnets=1, num_spread=1),
}


# -------------------------------------------------------------------------------------------------------- trials


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One training; `alone` names the corner that is trained by itself, else the whole space is."""

    data: str
    num_images: int
    recipe: str
    learning_rate: float
    seed: int
    alone: str = ""

    @property
    def key(self) -> str:
        """What names the folder of the training."""
        parts = (self.data, self.num_images, self.recipe, self.alone, self.learning_rate, self.seed)
        return "-".join(str(part).replace(",", "").replace(" ", "-") for part in parts if part != "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """The images, the space and the folder of finished trials."""

    name: str
    space: SearchSpace
    train: ImageBatches
    val: ImageBatches
    test: ImageBatches
    keep: Path

    @classmethod
    def open(cls, data: str, keep: Path) -> Bench:
        """Read the images: one channel is Fashion-MNIST, a folder train/ of three is CIFAR-10."""
        space, name = get_space("fashion"), "fashion"
        if (Path(data) / "train").is_dir():
            name = "cifar"
            space = dataclasses.replace(space, name=name, in_channels=3, resolutions=(24, 28, 32))
        dataset = load_dataset(data, in_channels=space.in_channels, image_size=space.resolutions[-1])
        mean, std = dataset.channel_statistics
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
        """Return the row of a trial: made now, or kept from an earlier run."""
        wanted = dataclasses.asdict(trial)
        for row in read_jsonl(self.keep / "trials.jsonl"):
            if row["trial"] == wanted:
                return row
        row = {"trial": wanted} | self._train(trial)
        append_jsonl(self.keep / "trials.jsonl", row)
        remark(f"{trial.key}: val {row['val']:.4f}")
        return row

    def supernet(self, trial: Trial) -> Supernet:
        """Return the trained network of a trial."""
        net = Supernet(self._space_of(trial))
        net.load_state_dict(read_weights(self._run(trial).supernet_path, net.state_dict()))
        return channels_last(net).eval()

    def _run(self, trial: Trial) -> RunFolder:
        return RunFolder(self.keep / "runs" / trial.key)

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
        schedule = (STRATEGIES | RECIPES)[trial.recipe] if not trial.alone else _shrinking
        phases = schedule(space, trial.num_images, trial.learning_rate)
        config = TrainingConfig(phases=phases, seed=trial.seed, batch_size=64)
        net = Supernet(space, generator=torch.Generator().manual_seed(trial.seed))
        net.start_alike()
        trainer = Trainer(net, config, self._run(trial), train=self.train, val=self.val.draw(250))
        is_whole = not trainer.resume()
        began = time.process_time()
        trainer.train()
        spent = time.process_time() - began
        archs = {trial.alone: space.largest} if trial.alone else self.corners
        scores = {split: _judge(net, list(archs.values()), self.train, images) for split, images in self._judges()}
        return {
            "cpu_seconds": spent if is_whole else None,
            "val": float(np.mean(scores["val"])),
            "test": dict(zip(archs, scores["test"], strict=True)),
        }

    def _judges(self) -> tuple[tuple[str, ImageBatches], ...]:
        return ("val", self.val), ("test", self.test)


def _judge(net: Supernet, archs: Sequence[ArchConfig], train: ImageBatches, images: ImageBatches) -> list[float]:
    judge = SubnetJudge(net, train, images, num_calibration_images=1000, checkpoint="")
    return [scored.top1 for scored in judge.judge_together(archs)]


def best_rate(bench: Bench, num_images: int, recipe: str, alone: str = "") -> float:
    """Return the learning rate that is best on validation images with the first seed, between its half and its double.

    The rate is doubled, then halved, for as long as that helps.
    """

    def on_val(rate: float) -> float:
        trial = Trial(
            data=bench.name, num_images=num_images, recipe=recipe, learning_rate=rate, seed=SEEDS[0], alone=alone
        )
        try:
            return float(bench.result(trial)["val"])
        except RunError as error:
            remark(f"{trial.key}: {error}")
            return 0.0

    rate = FIRST_RATE
    for factor in (2.0, 0.5):
        while on_val(rate * factor) > on_val(rate):
            rate *= factor
    return rate


def trials(bench: Bench, num_images: int, recipe: str, rate: float, alone: str = "") -> list[Trial]:
    """Return the trials of all seeds."""
    return [
        Trial(data=bench.name, num_images=num_images, recipe=recipe, learning_rate=rate, seed=seed, alone=alone)
        for seed in SEEDS
    ]


def _median_seconds(results: Sequence[dict[str, Any]]) -> str:
    """Return the median seconds of one core of the trials that were never interrupted, "" where there is none."""
    seconds = [result["cpu_seconds"] for result in results if result["cpu_seconds"] is not None]
    return f"{np.median(seconds):.0f}" if seconds else ""


def interval(differences: Sequence[float]) -> str:
    """Return the mean of paired differences in points with the half-width of its 95 % interval (Student's t)."""
    values = 100 * np.asarray(differences)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2f} ± {half:.2f}"


# ------------------------------------------------------------------------------------------------------ commands


@click.group()
def main() -> None:
    """Compare strategies of training."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--keep", type=click.Path(path_type=Path), default=Path("runs/strategies"), show_default=True),
        click.option("--rate-images", type=int, help="Images at which the rates are tuned.  [default: --images]"),
        click.option("--images", "num_images", default=60_000, show_default=True, help="Images seen in all."),
        click.option("--data", required=True, help="Folder of the images."),
    ):
        command = option(command)
    return command


@main.command()
@_options
def compare(data: str, num_images: int, rate_images: int | None, keep: Path) -> None:
    """Progressive shrinking, all choices at once and the sandwich rule: top-1 of eight corner subnets, three seeds."""
    _compare(data, num_images, rate_images, keep, STRATEGIES, "strategies")


@main.command()
@_options
def recipes(data: str, num_images: int, rate_images: int | None, keep: Path) -> None:
    """Other recipes against all choices at once: top-1 of eight corner subnets, three seeds."""
    _compare(data, num_images, rate_images, keep, {REFERENCE: _all_at_once} | RECIPES, "recipes")


def _compare(
    data: str, num_images: int, rate_images: int | None, keep: Path, schedules: dict[str, Schedule], name: str
) -> None:
    prepare_cpu(1)
    bench = Bench.open(data, keep)
    rows, per_seed = [], {}
    for recipe in schedules:
        rate = best_rate(bench, rate_images or num_images, recipe)
        results = [bench.result(trial) for trial in trials(bench, num_images, recipe, rate)]
        tops = [np.array(list(result["test"].values())) for result in results]
        per_seed[recipe] = [float(top.mean()) for top in tops]
        gains = [own - other for own, other in zip(per_seed[recipe], per_seed[REFERENCE], strict=True)]
        rows.append(
            (
                recipe,
                rate,
                " ".join(f"{top1:.4f}" for top1 in per_seed[recipe]),
                "" if recipe == REFERENCE else interval(gains),
                f"{np.mean([top[0] for top in tops]):.4f}",
                f"{np.mean([top[-1] for top in tops]):.4f}",
                _median_seconds(results),
            )
        )
    columns = (
        "recipe", "rate", "mean top-1 of 8 subnets, each seed", f"against {REFERENCE}, points, 95 %",
        "smallest", "largest", "s, one core",
    )  # fmt: skip
    about = (
        f"{bench.name}, {num_images:,} images seen, batch 64, {len(SEEDS)} seeds. Eight subnets of extreme kernel "
        f"size, depth and expand ratio at {bench.space.resolutions[-1]} pixels, top-1 on {len(bench.test):,} test "
        f"images; rates by {len(bench.val):,} validation images at {rate_images or num_images:,} images seen. "
        f"The sandwich rule sees {SANDWICH_SHARE:.0%} of the images, to cost about as much."
    )
    write_note(f"{name}-{bench.name}-{num_images // 1000}k", about, columns, rows)


@main.command()
@_options
@click.option("--recipe", type=click.Choice([*STRATEGIES, *RECIPES]), default=REFERENCE, show_default=True)
@click.option("--tuning-rate", default=FinetuneConfig.learning_rate, show_default=True, help="Of fine-tuning.")
def alone(data: str, num_images: int, rate_images: int | None, keep: Path, recipe: str, tuning_rate: float) -> None:
    """The smallest and the largest subnet against the same trained alone, before and after fine-tuning."""
    prepare_cpu(1)
    bench = Bench.open(data, keep)
    rate = best_rate(bench, rate_images or num_images, recipe)
    inside = trials(bench, num_images, recipe, rate)
    rows = []
    names = list(bench.corners)
    for corner in (names[0], names[-1]):
        own_rate = best_rate(bench, rate_images or num_images, "alone", corner)
        by_itself = [
            bench.result(trial)["test"][corner] for trial in trials(bench, num_images, "alone", own_rate, corner)
        ]
        before = [bench.result(trial)["test"][corner] for trial in inside]
        after = [_tuned(bench, trial, corner, num_images // 5, tuning_rate) for trial in inside]
        rows.append(
            (
                corner,
                " ".join(f"{top1:.4f}" for top1 in by_itself),
                " ".join(f"{top1:.4f}" for top1 in before),
                interval([own - other for own, other in zip(before, by_itself, strict=True)]),
                " ".join(f"{top1:.4f}" for top1 in after),
                interval([own - other for own, other in zip(after, by_itself, strict=True)]),
            )
        )
    columns = ("subnet", "alone", f"in {recipe}", "gap, points, 95 %", "fine-tuned", "gap, points, 95 %")
    about = (
        f"{bench.name}, {num_images:,} images seen by the supernet and by each network alone, then {num_images // 5:,} "
        f"by fine-tuning at rate {tuning_rate}; {len(SEEDS)} seeds, top-1 on {len(bench.test):,} test images."
    )
    write_note(f"alone-{bench.name}-{num_images // 1000}k", about, columns, rows)


def _tuned(bench: Bench, trial: Trial, corner: str, num_images: int, rate: float) -> float:
    """Return the test top-1 of a corner of the trial's supernet, fine-tuned with its largest network as the teacher."""
    bench.result(trial)
    net = bench.supernet(trial)
    arch = bench.corners[corner]
    judge = SubnetJudge(net, bench.train, bench.test, num_calibration_images=1000, checkpoint="")
    subnet, teacher = judge.calibrated(arch), judge.calibrated(bench.space.largest)
    config = FinetuneConfig(num_images=num_images, learning_rate=rate)
    finetune(subnet, teacher, bench.train, arch.resolution, config, seed=trial.seed)
    return score_logits(predict_logits(subnet, bench.test, arch.resolution), bench.test.labels).top1


if __name__ == "__main__":
    main()
