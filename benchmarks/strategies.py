"""In which order choices should open, and what sharing weights costs: strategies compared at the same number of images.

    python -m benchmarks.strategies compare --data /usr/share/datasets/fashion-mnist --images 60000
    python -m benchmarks.strategies recipes --data /usr/share/datasets/fashion-mnist --images 60000
    python -m benchmarks.strategies alone --data /usr/share/datasets/fashion-mnist --images 60000

The data are the whole Fashion-MNIST (Debian's package dataset-fashion-mnist) or a folder of CIFAR-10 as JPEG with
train/ and test/. The learning rate of each is tuned on validation images; what is told is top-1 on the test images.
Each training that ends leaves a line in trials.jsonl of --keep: what was killed goes on from there, and several
commands may run at once on different recipes. Give another --keep after a change of what training does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy import stats

from benchmarks.note import write_note
from benchmarks.trials import SEEDS, Bench, Recipe, Trial
from ofa_hw.space import SearchSpace
from ofa_hw.training import FinetuneConfig, finetune, prepare_cpu
from ofa_hw.training.evaluate import predict_logits, score_logits
from ofa_hw.training.schedule import Phase, all_at_once, progressive_shrinking

SANDWICH_SHARE = 0.5
"""Of the images, so that the sandwich rule costs about what all-at-once does; the table tells the cost."""


def _all_at_once(space: SearchSpace, num_images: int, rate: float, **changes: Any) -> tuple[Phase, ...]:
    (phase,) = all_at_once(space, num_images=num_images, learning_rate=rate)
    return (dataclasses.replace(phase, **changes),)


def _shrinking(space: SearchSpace, num_images: int, rate: float) -> tuple[Phase, ...]:
    return progressive_shrinking(space, num_images=num_images, learning_rate=rate)


def _sandwich(space: SearchSpace, num_images: int, rate: float) -> tuple[Phase, ...]:
    return all_at_once(space, num_images=round(num_images * SANDWICH_SHARE), learning_rate=rate, in_place=True)


REFERENCE = Recipe(name="all-at-once", schedule=_all_at_once)
STRATEGIES = (
    REFERENCE,
    Recipe(name="progressive-shrinking", schedule=_shrinking),
    Recipe(name="sandwich, same cost", schedule=_sandwich),
)
RECIPES = (
    REFERENCE,
    Recipe(name="all-at-once, weights do not start alike", schedule=_all_at_once, starts_alike=False),
    Recipe(
        name="all-at-once, four subnets a step",
        schedule=lambda *given: _all_at_once(*given, num_subnets=4, num_spread=2),
    ),
)
ALONE = Recipe(name="alone", schedule=_shrinking)


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
@click.option(
    "--strategy", "names", type=click.Choice([recipe.name for recipe in STRATEGIES[1:]]), multiple=True,
    default=[recipe.name for recipe in STRATEGIES[1:]], show_default=True, help="Against all-at-once; several.",
)  # fmt: skip
def compare(data: str, num_images: int, rate_images: int | None, keep: Path, names: tuple[str, ...]) -> None:
    """Progressive shrinking, all choices at once and the sandwich rule: top-1 of eight corner subnets, three seeds."""
    compared = [recipe for recipe in STRATEGIES if recipe is REFERENCE or recipe.name in names]
    _compare(Bench.open(data, keep), num_images, rate_images or num_images, compared, "strategies")


@main.command()
@_options
def recipes(data: str, num_images: int, rate_images: int | None, keep: Path) -> None:
    """Other recipes against all choices at once: top-1 of eight corner subnets, three seeds."""
    _compare(Bench.open(data, keep), num_images, rate_images or num_images, RECIPES, "recipes")


def _compare(bench: Bench, num_images: int, rate_images: int, compared: Iterable[Recipe], name: str) -> None:
    prepare_cpu(1)
    rows, reference = [], []
    for recipe in compared:
        rate = bench.best_rate(recipe, rate_images)
        results = [bench.result(trial) for trial in bench.of_all_seeds(recipe, num_images, rate)]
        tops = np.array([list(result["test"].values()) for result in results])
        means = tops.mean(1)
        if recipe is REFERENCE:
            reference = means
        smallest, *_, largest = tops.mean(0)
        rows.append(
            (
                recipe.name,
                f"{rate:g}",
                _listed(means),
                "" if recipe is REFERENCE else interval(means - reference),
                f"{smallest:.4f}",
                f"{largest:.4f}",
                _median_seconds(results),
            )
        )
    columns = (
        "recipe", "rate", "mean top-1 of 8 subnets, each seed", f"against {REFERENCE.name}, points, 95 %",
        "smallest", "largest", "s, one core",
    )  # fmt: skip
    about = (
        f"{bench.name}, {num_images:,} images seen, batch 64, {len(SEEDS)} seeds. Eight subnets of extreme kernel "
        f"size, depth and expand ratio at {bench.space.resolutions[-1]} pixels, top-1 on {len(bench.test):,} test "
        f"images; rates by {len(bench.val):,} validation images at {rate_images:,} images seen. "
        f"The sandwich rule sees {SANDWICH_SHARE:.0%} of the images, to cost about as much."
    )
    write_note(f"{name}-{bench.name}-{num_images // 1000}k", about, columns, rows)


@main.command()
@_options
@click.option(
    "--recipe", "names", type=click.Choice([recipe.name for recipe in RECIPES]), multiple=True,
    default=[REFERENCE.name], show_default=True, help="Of the supernet; several.",
)  # fmt: skip
@click.option("--tuning-rate", default=FinetuneConfig.learning_rate, show_default=True, help="Of fine-tuning.")
def alone(
    data: str, num_images: int, rate_images: int | None, keep: Path, names: tuple[str, ...], tuning_rate: float
) -> None:
    """The smallest and the largest subnet against the same trained alone, before and after fine-tuning."""
    prepare_cpu(1)
    bench = Bench.open(data, keep)
    rate_images = rate_images or num_images
    rows = []
    smallest, *_, largest = bench.corners
    for corner in (smallest, largest):
        rate = bench.best_rate(ALONE, rate_images, corner)
        trials = bench.of_all_seeds(ALONE, num_images, rate, corner)
        by_itself = np.array([bench.result(trial)["test"][corner] for trial in trials])
        for recipe in (recipe for recipe in RECIPES if recipe.name in names):
            inside = bench.of_all_seeds(recipe, num_images, bench.best_rate(recipe, rate_images))
            before = np.array([bench.result(trial)["test"][corner] for trial in inside])
            after = np.array([_tuned(bench, trial, corner, num_images // 5, tuning_rate) for trial in inside])
            rows.append(
                (
                    corner,
                    _listed(by_itself),
                    recipe.name,
                    _listed(before),
                    interval(before - by_itself),
                    _listed(after),
                    interval(after - by_itself),
                )
            )
    columns = (
        "subnet", "alone", "supernet", "in it", "against alone, points, 95 %",
        "fine-tuned", "against alone, points, 95 %",
    )  # fmt: skip
    about = (
        f"{bench.name}, {num_images:,} images seen by the supernet and by each network alone, then {num_images // 5:,} "
        f"by fine-tuning at rate {tuning_rate:g}; {len(SEEDS)} seeds, top-1 on {len(bench.test):,} test images. Each "
        f"rate was tuned on {len(bench.val):,} validation images at {rate_images:,} images seen."
    )
    write_note(f"alone-{bench.name}-{num_images // 1000}k", about, columns, rows)


def _tuned(bench: Bench, trial: Trial, corner: str, num_images: int, rate: float) -> float:
    """Return the test top-1 of a corner of the trial's supernet, fine-tuned with its largest network as the teacher."""
    net, arch = bench.supernet(trial), bench.corners[corner]
    judge = bench.judge(net, bench.test)
    subnet, teacher = judge.calibrated(arch), judge.calibrated(bench.space.largest)
    config = FinetuneConfig(num_images=num_images, learning_rate=rate)
    finetune(subnet, teacher, bench.train, arch.resolution, config, seed=trial.seed)
    return score_logits(predict_logits(subnet, bench.test, arch.resolution), bench.test.labels).top1


def interval(differences: Sequence[float]) -> str:
    """Return the mean of paired differences in points with the half-width of its 95 % interval (Student's t)."""
    values = 100 * np.asarray(differences)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2f} ± {half:.2f}"


def _listed(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _median_seconds(results: Sequence[dict[str, Any]]) -> str:
    """Return the median seconds of one core of the trials that were never interrupted, "" where there is none."""
    seconds = [result["cpu_seconds"] for result in results if result["cpu_seconds"] is not None]
    return f"{np.median(seconds):.0f}" if seconds else ""


if __name__ == "__main__":
    main()
