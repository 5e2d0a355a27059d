"""`ofa-hw data`: images for weights that others have trained."""

from __future__ import annotations

from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import (
    json_option,
    max_bad_images_option,
    normalisation_options,
    run_option,
    seed_option,
    told_normalisation,
)


@click.command()
@click.argument("data")
@run_option
@normalisation_options
@max_bad_images_option
@seed_option
@json_option
def command(
    data: str,
    run: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    max_bad_images: int,
    seed: int,
    as_json: bool,
) -> None:
    """Give a run of imported weights its images.

    DATA is a folder of images by class (train/, val/ or test/), with as many classes as the weights know, in the order
    of their names. For classes of your own see `ofa-hw train --from` and `ofa-hw finetune --from`.

    \b
    Example:
      ofa-hw data imagenet --run runs/ofa-mobilenetv3-w1.0
    """
    from ofa_hw.importing import give_images
    from ofa_hw.run import RunFolder

    folder = RunFolder.open(run)
    with show_progress() as progress:
        give_images(
            folder,
            data,
            normalisation=told_normalisation(mean, std),
            seed=seed,
            max_bad_images=max_bad_images,
            progress=progress,
        )
    table = folder.config["data"]
    facts = {"run": str(folder.path), "images": table["source"], "num_classes": len(table["classes"])}
    if as_json:
        print_json(facts)
        return
    print_facts([(name.replace("num_", ""), value) for name, value in facts.items()])
    remark(f"next: ofa-hw sample --num 300 --run {folder.path}")
