"""`ofa-hw finetune`: a chosen network trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import chosen_arch, chosen_options, json_option, run_option, seed_option, threads_option


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
      ofa-hw finetune --pick 3 --images 60000
      ofa-hw finetune --from runs/imported --pick 3 --data my-photos --run runs/mine
    """
    from ofa_hw.deploy import finetune_chosen
    from ofa_hw.files import write_text
    from ofa_hw.run import RunFolder
    from ofa_hw.training import FinetuneConfig, move_run, prepare_cpu

    if (source is None) != (data is None) or (source is not None and run is None):
        raise click.UsageError("give --from, --data and --run together, or neither --from nor --data")
    folder = RunFolder.open(source or run)
    arch = chosen_arch(folder, pick, arch_file)
    folder.space.validate(arch)
    prepare_cpu(threads)
    config = FinetuneConfig(num_images=images, learning_rate=learning_rate)
    with show_progress() as progress:
        if data is not None and run is not None:
            folder = move_run(folder, run, data, seed=seed, progress=progress)
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
    if source is not None or arch_file is None:
        arch_file = folder.exported_path / f"{arch.arch_id}.json"
        write_text(arch_file, arch.to_json())
    remark(f"the weights are in {tuned.weights}; next: ofa-hw export --run {folder.path} --arch {arch_file}")
