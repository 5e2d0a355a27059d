"""`ofa-hw import-checkpoint`: weights that others have trained."""

from __future__ import annotations

from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import (
    json_option,
    max_bad_images_option,
    normalisation_options,
    note_command,
    seed_option,
    told_normalisation,
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--space", "space_name", required=True, help="Name of the space that it holds, or a .toml file.")
@click.option(
    "--run", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.  [default: runs/SPACE]"
)
@click.option(
    "--data", help="Folder of images by class, with the classes of the weights; `ofa-hw data` gives it later."
)
@normalisation_options
@max_bad_images_option
@seed_option
@json_option
def command(
    file: Path,
    space_name: str,
    run: Path | None,
    data: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    max_bad_images: int,
    seed: int,
    as_json: bool,
) -> None:
    """Make a run of a once-for-all checkpoint.

    FILE is a torch file, of which tensors alone are read, or a .safetensors file, with once-for-all's names. Every
    weight must find its place. The number of classes is that of the weights. With --data everything that follows
    training works on the run: sample, fit, search, verify, finetune, export, report.

    \b
    Example:
      ofa-hw import-checkpoint ofa_mbv3_d234_e346_k357_w1.0 --space ofa-mobilenetv3-w1.0 --data imagenet
    """
    from ofa_hw.importing import import_checkpoint
    from ofa_hw.space import get_space

    space = get_space(space_name)
    with show_progress() as progress:
        folder = import_checkpoint(
            file,
            space,
            run or Path("runs") / space.name,
            normalisation=told_normalisation(mean, std),
            data=data,
            seed=seed,
            max_bad_images=max_bad_images,
            progress=progress,
        )
    note_command(folder.path)
    facts = {"run": str(folder.path), "space": space.name, "num_classes": folder.space.num_classes}
    if as_json:
        print_json(facts)
        return
    print_facts([(name.replace("num_", ""), value) for name, value in facts.items()])
    after = "ofa-hw data FOLDER" if data is None else "ofa-hw sample --num 300"
    remark(f"next: {after} --run {folder.path}")
