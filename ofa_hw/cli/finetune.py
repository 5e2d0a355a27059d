"""`ofa-hw finetune`: a chosen network trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import (
    chosen_arch,
    chosen_options,
    json_option,
    run_option,
    seed_option,
    threads_option,
    told_command,
)


@click.command()
@run_option
@chosen_options
@click.option(
    "--from",
    "source",
    type=click.Path(file_okay=False, path_type=Path),
    help="A run to take the network from, for the classes of --data; --run is then made, and --pick is of its front.",
)
@click.option("--data", help="With --from: folder of images by class.")
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
    pick: str | None,
    arch: str | None,
    source: Path | None,
    data: str | None,
    images: int,
    learning_rate: float,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fine-tune a network of the supernet.

    It starts from the supernet's weights and is taught by the largest network. Its weights stay in the run, where
    `export` finds them.

    With --from and --data a network of another run, trained or imported, becomes one of your own classes: its
    classifier is new, all else begins as it is there, and no supernet is trained.

    \b
    Examples:
      ofa-hw finetune --pick 98a78f --images 60000
      ofa-hw finetune --from runs/imported --pick 98a78f --data my-photos --run runs/mine
    """
    from ofa_hw.deploy import finetune_chosen
    from ofa_hw.files import write_text
    from ofa_hw.run import RunFolder
    from ofa_hw.training import move_run, prepare_cpu
    from ofa_hw.training.runs import finetune_config

    if (source is None) != (data is None) or (source is not None and run is None):
        raise click.UsageError("give --from, --data and --run together, or neither --from nor --data")
    folder = RunFolder.open(source or run)
    network = chosen_arch(folder, pick, arch)
    folder.space.validate(network)
    prepare_cpu(threads)
    config = finetune_config(folder, num_images=images, learning_rate=learning_rate)
    with show_progress() as progress:
        if data is not None and run is not None:
            folder = move_run(folder, run, data, seed=seed, progress=progress)
        tuned = finetune_chosen(folder, network, config, seed=seed, progress=progress)
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
    which: tuple[object, ...] = ("--pick", tuned.arch_id)
    if source is not None:
        # The run of one's own classes has no front that knows the network by its id.
        path = folder.exported_path / f"{tuned.arch_id}.json"
        write_text(path, network.to_json())
        which = ("--arch", path)
    exporting = told_command("export", "--run", folder.path, *which)
    remark(f"the weights are in {tuned.weights}; next: {exporting}")
