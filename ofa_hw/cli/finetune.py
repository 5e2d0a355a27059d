"""`ofa-hw finetune`: a chosen network trained on."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import chosen_arch, chosen_options, json_option, run_option, seed_option, threads_option


@click.command()
@run_option
@chosen_options
@click.option("--images", type=click.IntRange(min=1), default=30_000, show_default=True, help="Images of fine-tuning.")
@click.option(
    "--learning-rate",
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="Highest rate.",
)
@threads_option
@seed_option
@json_option
def command(
    run: Path | None,
    pick: int | None,
    arch_file: Path | None,
    images: int,
    learning_rate: float,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fine-tune a network of the supernet.

    It starts from the supernet's weights and is taught by the largest network. Its weights stay in the run, where
    `export` finds them.

    \b
    Example:
      ofa-hw finetune --pick 3 --images 60000
    """
    from ofa_hw.deploy import finetune_chosen
    from ofa_hw.run import RunFolder
    from ofa_hw.training import FinetuneConfig, prepare_cpu
    from ofa_hw.training.runs import training_config

    folder = RunFolder.open(run)
    arch = chosen_arch(folder, pick, arch_file)
    prepare_cpu(threads)
    config = FinetuneConfig.like(training_config(folder), num_images=images, learning_rate=learning_rate)
    with show_progress() as progress:
        tuned = finetune_chosen(folder, arch, config, seed=seed, progress=progress)
    if as_json:
        print_json(dataclasses.asdict(tuned))
        return
    print_table(
        ("network", "images", "top-1 before", "top-1 after"),
        [
            (tuned.arch_id, "validation", f"{tuned.val_top1_before:.3f}", f"{tuned.val_top1:.3f}"),
            (tuned.arch_id, "test", f"{tuned.test_top1_before:.3f}", f"{tuned.test_top1:.3f}"),
        ],
    )
    which = ["--arch", str(arch_file)] if arch_file else ["--pick", str(pick)]
    words = ["ofa-hw", "export", "--run", str(folder.path), *which]
    remark(f"the weights are in {tuned.weights}; next: {shlex.join(words)}")
