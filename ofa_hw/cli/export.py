"""`ofa-hw export`: a chosen network as a file for its runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import chosen_arch, chosen_options, json_option, run_option
from ofa_hw.cli.words import OneOf


@click.command()
@run_option
@chosen_options
@click.option(
    "--format",
    "format_name",
    type=OneOf(("tflite", "tflite-int8", "onnx", "pt2")),
    help="The form of the file.  [default: by the suffix of --out, else tflite]",
)
@click.option("--pixels", is_flag=True, help="The file takes uint8 pixels and normalises them itself.")
@click.option(
    "--calibration-images",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Training images from which int8 takes its scales.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: in exported/ of the run]"
)
@json_option
def command(
    run: Path | None,
    pick: str | None,
    arch: str | None,
    format_name: str | None,
    pixels: bool,
    calibration_images: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write a network for its runtime, checked against torch.

    The weights are the fine-tuned ones where `verify` made them, else those of the supernet. The file is run in its
    runtime on the test images and compared with torch before it is written; labels and provenance stand in it, and
    in the card beside it.

    \b
    Example:
      ofa-hw export --pick 98a78f --out net.onnx
      ofa-hw export --pick 3 --format tflite-int8 --pixels
    """
    from ofa_hw.deploy import export_chosen
    from ofa_hw.run import RunFolder

    folder = RunFolder.open(run)
    network = chosen_arch(folder, pick, arch)
    with show_progress() as progress:
        made = export_chosen(
            folder,
            network,
            format_name,
            out,
            takes_pixels=pixels,
            num_calibration_images=calibration_images,
            progress=progress,
        )
    check = made.check
    facts = dataclasses.asdict(check) | {"path": str(check.path), "card": str(made.card)}
    facts |= {"is_finetuned": made.is_finetuned, "takes_pixels": pixels, "arch_id": network.arch_id}
    if as_json:
        print_json(facts)
        return
    print_facts(facts.items())
    if check.top1 is not None and check.torch_top1 is not None:
        remark(
            f"top-1 on {check.num_images} test images: {check.top1:.1%} by the file, {check.torch_top1:.1%} by torch "
            f"in float32; {check.num_bytes / 1000:.1f} kB"
        )
