"""`ofa-hw export`: a chosen network as a file for its runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json
from ofa_hw.cli.options import chosen_arch, chosen_options, json_option, run_option


@click.command()
@run_option
@chosen_options
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
    from ofa_hw.verify import export_chosen

    folder = RunFolder.open(run)
    arch = chosen_arch(folder, pick, arch_file)
    check, is_tuned = export_chosen(folder, arch, format_name, out)
    facts = {**dataclasses.asdict(check), "path": str(check.path), "is_finetuned": is_tuned, "arch_id": arch.arch_id}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items())
