"""`ofa-hw train`: a supernet on the user's images."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import (
    cache_option,
    json_option,
    max_bad_images_option,
    note_command,
    seed_option,
    threads_option,
    workers_option,
)
from ofa_hw.cli.words import OneOf

if TYPE_CHECKING:
    from ofa_hw.images import Augmentation
    from ofa_hw.run import RunFolder
    from ofa_hw.space import SearchSpace
    from ofa_hw.training import Phase, TrainingConfig

RATE_FROM_SCRATCH, RATE_FROM_WEIGHTS = 0.3, 0.05
"""At 0.3 what came is lost, see docs/guides/weights.md."""


@click.command()
@click.option(
    "--run", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.  [default: runs/SPACE]"
)
@click.option("--space", "space_name", help="Name of a space, or a .toml file.  [default: fashion, or that of --from]")
@click.option(
    "--from",
    "source",
    type=click.Path(file_okay=False, path_type=Path),
    help="A run whose weights to begin with; the classifier is new where classes differ.",
)
@click.option(
    "--data",
    default="fashion-mnist-5000",
    show_default=True,
    help="Folder of images by class (train/, val/ or test/), folder of IDX or CIFAR files, tar shards such as "
    "shard-{000..146}.tar, or the built-in images.",
)
@click.option(
    "--strategy",
    type=OneOf(("progressive-shrinking", "all-at-once", "sandwich")),
    help="In which order the choices open.  [default: progressive-shrinking from 80 epochs on, else all-at-once]",
)
@click.option(
    "--epochs",
    type=click.FloatRange(min=0, min_open=True),
    help="Passes over the images.  [default: 20, or what makes 360,000 images; the recipe's]",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=OneOf(("once-for-all",)),
    help="A published schedule with its rates, batch and losses, instead of --strategy; what it costs is in the docs.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=2), help="Images in a step.  [default: 64, or the recipe's: 2048]"
)
@click.option(
    "--learning-rate",
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Highest rate.  [default: 0.3; with --from 0.05; the recipe's, by the batch size]",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    help="Share of each phase in which the rate rises.  [default: 0.05, or 0.1 of the first phase and 0.02 of others]",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    help="Of convolutions and the classifier.  [default: 3e-4, or the recipe's]",
)
@click.option(
    "--label-smoothing",
    type=click.FloatRange(min=0, max=1, max_open=True),
    help="Share of a label that is spread over all classes.  [default: 0.1, or the recipe's]",
)
@click.option(
    "--augmentation",
    type=OneOf(
        (
            *("none", "shift", "flip", "shift-flip", "shift4-flip"),
            *("crop", "color-jitter", "randaugment", "trivial"),
        )
    ),
    help="How training images are changed; digits and text want no flip.  [default: shift-flip, of photos crop]",
)
@click.option(
    "--precision",
    type=OneOf(("fp32", "bf16", "fp16")),
    default="fp32",
    show_default=True,
    help="What convolutions are computed in.",
)
@click.option(
    "--average-decay",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.0,
    show_default=True,
    help="A moving average of the weights ends each phase; 0: none.",
)
@click.option(
    "--crop-scale",
    type=(float, float),
    metavar="LOW HIGH",
    help="Which part of a photo's area a crop has.  [default: 0.08 1]",
)
@click.option(
    "--crop-ratio",
    type=(float, float),
    metavar="LOW HIGH",
    help="Width by height of a crop.  [default: 0.75 1.3333]",
)
@click.option(
    "--erasing", type=click.FloatRange(min=0, max=1), help="How often a rectangle is erased.  [default: as augmented]"
)
@max_bad_images_option
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="What a kill may cost at most; an interrupt costs nothing.",
)
@workers_option
@cache_option
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of the run.")
@threads_option
@seed_option
@json_option
def command(
    run: Path | None,
    space_name: str | None,
    source: Path | None,
    data: str,
    strategy: str | None,
    epochs: float | None,
    recipe_name: str | None,
    batch_size: int | None,
    learning_rate: float | None,
    warm_up: float | None,
    weight_decay: float | None,
    label_smoothing: float | None,
    augmentation: str | None,
    precision: str,
    average_decay: float,
    crop_scale: tuple[float, float] | None,
    crop_ratio: tuple[float, float] | None,
    erasing: float | None,
    max_bad_images: int,
    checkpoint_seconds: float,
    num_workers: int | None,
    cache_bytes: int | None,
    resume: bool,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a supernet, by progressive shrinking or with all choices at once.

    Progressive shrinking begins with the largest network, then opens ever smaller kernels, depths and widths, taught by
    the largest. The other strategies open all choices at once, with the labels alone or by the sandwich rule. Interrupt
    it at any time: the step at hand is kept, and --resume ends with the same weights as an unbroken run. Under torchrun
    several processes train one supernet.

    With --from it begins with another run's weights, trained or imported; where the classes are the same, progressive
    shrinking begins behind its first phase.

    \b
    Examples:
      ofa-hw train --space fashion --data fashion-mnist-5000
      ofa-hw train --space ofa-mobilenetv3-w1.0 --data my-photos --augmentation randaugment
      ofa-hw train --from runs/imported --data my-photos --run runs/mine
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.space import get_space
    from ofa_hw.training import RECIPES, create_run, prepare_cpu, read_metrics, train_run
    from ofa_hw.training.config import TrainingConfig
    from ofa_hw.training.ranks import join_ranks
    from ofa_hw.training.runs import training_config

    if recipe_name and (strategy or learning_rate):
        raise click.UsageError("a --recipe has its own strategy and rates: leave out --strategy and --learning-rate")
    recipe = RECIPES[recipe_name] if recipe_name else None
    losses = recipe or TrainingConfig
    images_a_step = batch_size or (recipe.batch_size if recipe else 64)

    def schedule(num_train_images: int) -> tuple[Phase, ...]:
        if recipe:
            phases = recipe.schedule(space, num_train_images, epochs, images_a_step)
        else:
            rate = learning_rate or (RATE_FROM_WEIGHTS if source else RATE_FROM_SCRATCH)
            phases = _schedule(space, num_train_images, strategy, epochs, rate)
        if warm_up is None:
            return phases
        return tuple(dataclasses.replace(phase, warmup_fraction=warm_up) for phase in phases)

    prepare_cpu(threads)
    with join_ranks() as ranks, show_progress(quiet=not ranks.is_first) as progress:
        if resume:
            folder = RunFolder.open(run)
            # Imported weights have no training to go on with.
            _require_kept(training_config(folder), folder)
        else:
            begun = RunFolder.open(source) if source else None
            space = get_space(space_name or "fashion") if space_name or not begun else begun.space
            folder = RunFolder(run or Path("runs") / space.name)
            if ranks.is_first:
                create_run(
                    folder.path,
                    space=space,
                    data=data,
                    schedule=schedule,
                    batch_size=images_a_step,
                    precision=precision,
                    average_decay=average_decay,
                    weight_decay=losses.weight_decay if weight_decay is None else weight_decay,
                    label_smoothing=losses.label_smoothing if label_smoothing is None else label_smoothing,
                    max_grad_norm=losses.max_grad_norm,
                    augmentation=_augmentation(augmentation, crop_scale, crop_ratio, erasing),
                    seed=seed,
                    max_bad_images=max_bad_images,
                    cache_bytes=cache_bytes,
                    source=begun,
                    progress=progress,
                )
                # What began the run is noted at once: who interrupts it ends it by a resume, which does not tell how.
                note_command(folder.path)
            ranks.wait()
        train_run(
            folder,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            cache_bytes=cache_bytes,
            num_workers=num_workers,
            ranks=ranks,
            progress=progress,
        )
    if not ranks.is_first:
        return
    if not folder.commands:
        note_command(folder.path)  # begun by an earlier version, which noted a training at its end
    phases = [row for row in read_metrics(folder) if row["kind"] == "phase_end"]
    if as_json:
        print_json({"run": str(folder.path), "phases": phases})
        return
    names = list(phases[-1]["evals"])
    print_table(
        ("phase", "images", *(f"{name}, top-1" for name in names)),
        [
            (row["phase"], f"{row['images']:,}", *(f"{row['evals'][name]['top1']:.3f}" for name in names))
            for row in phases
        ],
    )
    words = ["ofa-hw", "sample", "--num", "300", "--run", str(folder.path)]
    remark(f"the supernet is in {folder.supernet_path}; next: {shlex.join(words)}")


_AUGMENTING = ("augmentation", "crop_scale", "crop_ratio", "erasing")


def _require_kept(training: TrainingConfig, folder: RunFolder) -> None:
    """Refuse options that a resumed training would not heed: it keeps the configuration that it began with."""
    from ofa_hw.training.config import AUGMENTATIONS

    kept = {name: getattr(training, name) for name in ("batch_size", "weight_decay", "label_smoothing", "precision")}
    kept |= {"average_decay": training.average_decay, "seed": training.seed}
    kept["learning_rate"] = max(phase.learning_rate for phase in training.phases)
    context = click.get_current_context()
    asked = {name: value for name, value in context.params.items() if _is_given(context, name)}
    differing = [name for name, value in kept.items() if name in asked and asked[name] != value]
    if asked.keys() & {*_AUGMENTING}:
        told = _augmentation(
            *(context.params[name] for name in ("augmentation", "crop_scale", "crop_ratio", "erasing"))
        )
        wanted = AUGMENTATIONS[told] if isinstance(told, str) else {"augmentation": told}
        if any(getattr(training, name) != value for name, value in wanted.items()):
            differing.append("augmentation")
    if "warm_up" in asked and any(phase.warmup_fraction != asked["warm_up"] for phase in training.phases):
        differing.append("warm_up")
    if differing:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in differing)
        raise click.UsageError(
            f"a resumed training keeps what {folder.config_path} says; it says otherwise than {words}: "
            "leave that out, or train another --run"
        )


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _schedule(
    space: SearchSpace, num_train_images: int, strategy: str | None, epochs: float | None, learning_rate: float
) -> tuple[Phase, ...]:
    from ofa_hw.training import STRATEGIES, best_strategy, budget

    num_images = budget(num_train_images, epochs)
    name = strategy or best_strategy(num_images / num_train_images)
    return STRATEGIES[name](space, num_images=num_images, learning_rate=learning_rate)


def _augmentation(
    name: str | None,
    crop_scale: tuple[float, float] | None,
    crop_ratio: tuple[float, float] | None,
    erasing: float | None,
) -> Augmentation | str | None:
    """Return the augmentation of this name with what was changed of it."""
    from ofa_hw.images import PHOTO_AUGMENTATIONS

    told = {"scale": crop_scale, "ratio": crop_ratio, "erasing": erasing}
    changes: dict[str, Any] = {field: value for field, value in told.items() if value is not None}
    if not changes:
        return name
    augmentation = PHOTO_AUGMENTATIONS.get(name or "crop")
    if augmentation is None:
        raise click.UsageError(
            f"--augmentation {name} cuts nothing out: leave out --crop-scale, --crop-ratio, --erasing"
        )
    return dataclasses.replace(augmentation, **changes)
