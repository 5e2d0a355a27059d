"""`ofa-hw space`: the spaces that ship, and what one holds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_hw.cli.console import print_facts, print_json, print_table, remark
from ofa_hw.cli.options import json_option
from ofa_hw.cli.words import Commands

if TYPE_CHECKING:
    from ofa_hw.space import ArchConfig, SearchSpace


@click.group(cls=Commands)
def command() -> None:
    """Show the spaces of architectures, and begin one of your own.

    \b
    Examples:
      ofa-hw space list
      ofa-hw space show fashion
    """


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the spaces that ship with ofa-hw.

    \b
    Example:
      ofa-hw space list
    """
    from ofa_hw.space import get_space, list_spaces

    spaces = [get_space(name) for name in list_spaces()]
    if as_json:
        print_json([{"name": space.name, "num_archs": space.num_archs} for space in spaces])
        return
    print_table(
        ("space", "networks", "resolutions, px", "classes"),
        [
            (space.name, _rough(space.num_archs), f"{space.resolutions[0]}–{space.resolutions[-1]}", space.num_classes)
            for space in spaces
        ],
    )


@command.command("show")
@click.argument("space_name", metavar="SPACE")
@json_option
def show_command(space_name: str, as_json: bool) -> None:
    """Show what a space offers and what its networks cost.

    SPACE is a name, or the path of a .toml file.

    \b
    Example:
      ofa-hw space show fashion
    """
    from ofa_hw.blocks import unique_block_specs
    from ofa_hw.space import get_space

    space = get_space(space_name)
    num_blocks = len(unique_block_specs(space))
    costs = {"smallest": _costs(space, space.smallest), "largest": _costs(space, space.largest)}
    if as_json:
        figures = {"num_archs": space.num_archs, "num_distinct_blocks": num_blocks}
        print_json({"space": space.to_dict(), **figures, **costs})
        return
    print_facts(
        [
            ("networks", f"{_rough(space.num_archs)}, of {num_blocks} distinct blocks"),
            ("resolutions", f"{_listed(space.resolutions)} px"),
            ("input channels", space.in_channels),
            ("stem", f"{space.width(space.stem_channels)} channels" if space.stem_channels else "the first stages"),
            *([("width ratios", _listed(space.width_ratios))] if space.has_elastic_width else []),
            ("classes", space.num_classes),
            *((name, f"{cost['macs']:,} MACs, {cost['params']:,} parameters") for name, cost in costs.items()),
        ],
        title=space.name,
    )
    print_table(
        ("stage", "blocks", "channels", "stride", "activation", "depths", "choices"),
        [
            (
                index,
                f"{stage.kind}{' + SE' if stage.use_se else ''}",
                _listed(tuple(space.width(stage.out_channels, ratio) for ratio in space.width_ratios or (1,))),
                stage.stride,
                stage.activation,
                _listed(space.stage_depths(index)),
                "; ".join(
                    f"{name.replace('_', ' ')} {_listed(its)}" for name, its in space.stage_values(index).items()
                ),
            )
            for index, stage in enumerate(space.stages)
        ],
    )


@command.command("new")
@click.argument("path", metavar="NAME.toml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--classes", type=click.IntRange(min=2), default=10, show_default=True, help="Classes of your images.")
@click.option("--size", type=click.IntRange(min=16), default=64, show_default=True, help="Largest side, in pixels.")
@click.option(
    "--channels",
    type=click.IntRange(1, 4),
    default=3,
    show_default=True,
    help="Channels of an image: 3 colour, 1 grey.",
)
def new_command(path: Path, classes: int, size: int, channels: int) -> None:
    """Write a commented space to start from.

    It holds MobileNet-like networks for images of that size; a file that is there already is not overwritten.

    \b
    Example:
      ofa-hw space new mine.toml --classes 5 --size 64
    """
    from ofa_hw.space.template import write_template

    space = write_template(path, num_classes=classes, image_size=size, in_channels=channels)
    click.echo(f"{path}: {_rough(space.num_archs)} networks for images of {', '.join(map(str, space.resolutions))} px")
    remark(f"edit it; next: ofa-hw space show {shlex.quote(str(path))}")


def _costs(space: SearchSpace, arch: ArchConfig) -> dict[str, Any]:
    from ofa_hw.blocks import num_macs, num_params

    return {"macs": num_macs(space, arch), "params": num_params(space, arch)}


def _rough(number: int) -> str:
    return f"{number:.1e}" if number >= 10**6 else f"{number:,}"


def _listed(values: tuple[float, ...]) -> str:
    if len(values) > 6:
        return f"{values[0]} to {values[-1]} ({len(values)})"
    return ", ".join(str(value) for value in values)
