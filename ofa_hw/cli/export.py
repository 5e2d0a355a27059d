"""`ofa-hw export`: a chosen network as a file for its runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json
from ofa_hw.cli.options import json_option, run_option


@click.command()
@run_option
@click.option("--pick", type=click.IntRange(min=1), help="The network of this place on the front, the fastest is 1.")
@click.option(
    "--arch",
    "arch_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the JSON of an architecture.",
)
@click.option(
    "--format", "format_name", type=click.Choice(("tflite", "onnx", "pt2")), default="tflite", show_default=True
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: in exported/ of the run]"
)
@json_option
def command(
    run: Path | None, pick: int | None, arch_file: Path | None, format_name: str, out: Path | None, as_json: bool
) -> None:
    """Write a network for its runtime, checked against torch.

    The weights are the fine-tuned ones where `verify` made them, else those of the supernet. The file is run on the
    test images and compared with torch before it is written.

    \b
    Example:
      ofa-hw export --pick 3 --format tflite
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.search.front import read_front_archs
    from ofa_hw.space import ArchConfig
    from ofa_hw.verify import export_chosen

    if (pick is None) == (arch_file is None):
        raise click.UsageError("give either --pick or --arch")
    folder = RunFolder.open(run)
    if arch_file is not None:
        arch = ArchConfig.from_json(arch_file.read_text())
    else:
        archs = read_front_archs(folder.require(folder.front_path, "ofa-hw search"), folder.space)
        if pick is None or pick > len(archs):
            raise click.BadParameter(f"the front has {len(archs)} networks; came {pick}", param_hint="--pick")
        arch = archs[pick - 1]
    check, is_tuned = export_chosen(folder, arch, format_name, out)
    facts = {**dataclasses.asdict(check), "path": str(check.path), "is_finetuned": is_tuned, "arch_id": arch.arch_id}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items())
