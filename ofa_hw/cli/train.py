"""`ofa-hw train`: a supernet on the user's images."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import json_option, max_bad_images_option, note_command, seed_option, threads_option
from ofa_hw.cli.words import OneOf

if TYPE_CHECKING:
    from ofa_hw.run import RunFolder
    from ofa_hw.training import Phase, TrainingConfig


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
    help="Folder of images by class (train/, val/ or test/), folder of IDX files, or the built-in images.",
)
@click.option(
    "--strategy",
    type=OneOf(("progressive-shrinking", "all-at-once", "sandwich")),
    help="In which order the choices open.  [default: progressive-shrinking from 80 epochs on, else all-at-once]",
)
@click.option(
    "--epochs",
    type=click.FloatRange(min=0, min_open=True),
    help="Passes over the images.  [default: 20, or what makes 360,000 images]",
)
@click.option("--batch-size", type=click.IntRange(min=2), default=64, show_default=True, help="Images in a step.")
@click.option(
    "--learning-rate",
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=0.3,
    show_default=True,
    help="Highest rate.",
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
    default=3e-4,
    show_default=True,
    help="Of convolutions and the classifier.",
)
@click.option(
    "--label-smoothing",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of a label that is spread over all classes.",
)
@click.option(
    "--augmentation",
    type=OneOf(("none", "shift", "flip", "shift-flip", "shift4-flip")),
    default="shift-flip",
    show_default=True,
    help="Random shifts by 1 or 4 pixels, mirror images; digits and text want no flip.",
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
@max_bad_images_option
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="What a kill may cost at most; an interrupt costs nothing.",
)
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
    batch_size: int,
    learning_rate: float,
    warm_up: float | None,
    weight_decay: float,
    label_smoothing: float,
    augmentation: str,
    precision: str,
    average_decay: float,
    max_bad_images: int,
    checkpoint_seconds: float,
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
      ofa-hw train --from runs/imported --data my-photos --learning-rate 0.05 --run runs/mine
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.space import get_space
    from ofa_hw.training import STRATEGIES, best_strategy, budget, create_run, prepare_cpu, read_metrics, train_run
    from ofa_hw.training.ranks import join_ranks
    from ofa_hw.training.runs import training_config

    def schedule(num_train_images: int) -> tuple[Phase, ...]:
        num_images = budget(num_train_images, epochs)
        name = strategy or best_strategy(num_images / num_train_images)
        phases = STRATEGIES[name](space, num_images=num_images, learning_rate=learning_rate)
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
                    batch_size=batch_size,
                    precision=precision,
                    average_decay=average_decay,
                    weight_decay=weight_decay,
                    label_smoothing=label_smoothing,
                    augmentation=augmentation,
                    seed=seed,
                    max_bad_images=max_bad_images,
                    source=begun,
                    progress=progress,
                )
                # What began the run is noted at once: who interrupts it ends it by a resume, which does not tell how.
                note_command(folder.path)
            ranks.wait()
        train_run(folder, resume=resume, checkpoint_seconds=checkpoint_seconds, ranks=ranks, progress=progress)
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


def _require_kept(training: TrainingConfig, folder: RunFolder) -> None:
    """Refuse options that a resumed training would not heed: it keeps the configuration that it began with."""
    from ofa_hw.training.config import AUGMENTATIONS

    kept = {name: getattr(training, name) for name in ("batch_size", "weight_decay", "label_smoothing", "precision")}
    kept |= {"average_decay": training.average_decay, "seed": training.seed}
    kept["learning_rate"] = max(phase.learning_rate for phase in training.phases)
    context = click.get_current_context()
    asked = {name: value for name, value in context.params.items() if _is_given(context, name)}
    differing = [name for name, value in kept.items() if name in asked and asked[name] != value]
    if "augmentation" in asked:
        wanted = AUGMENTATIONS[asked["augmentation"]]
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
