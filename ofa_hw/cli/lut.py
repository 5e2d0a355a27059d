"""`ofa-hw lut`: look at tables, check them, compare them, import published ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from ofa_hw.cli.console import echo, print_facts, print_json, print_table, remark
from ofa_hw.cli.options import json_option
from ofa_hw.cli.words import Commands

TABLE = click.Path(dir_okay=False, path_type=Path)


@click.group(cls=Commands)
def command() -> None:
    """Show, validate, compare and import latency tables.

    \b
    Example:
      ofa-hw lut show lut/host.csv
    """


@command.command()
@click.argument("path", type=TABLE)
@click.option(
    "--rows", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the slowest blocks."
)
@json_option
def show(path: Path, rows: int, as_json: bool) -> None:
    """Show what a table holds and under which conditions it was measured.

    \b
    Example:
      ofa-hw lut show lut/host.csv --rows 20
    """
    from ofa_hw.lut import LatencyTable

    table = LatencyTable.read(path)
    facts: dict[str, Any] = {"space": table.space, "blocks": len(table.measurements)}
    facts |= {
        "resolutions": ", ".join(map(str, table.resolutions)),
        **dataclasses.asdict(table.conditions),
        **table.notes,
    }
    facts["calibration"] = _calibration_text(table.calibration)
    slowest = sorted(table.measurements, key=lambda row: -row.median_ms)[:rows]
    if as_json:
        print_json(facts)
        return
    print_facts(facts.items(), title=str(path))
    print_table(
        ["block", "ms", "± %", "marks"],
        [(row.block.key, f"{row.median_ms:.4f}", f"{row.relative_ci:.2%}", row.marks) for row in slowest],
        title="The slowest blocks",
    )


def _calibration_text(calibration: Any) -> str:
    if calibration is None:
        return "none"
    text = f"from {calibration.num_fit} networks"
    for figures in calibration.figures:
        if (figures.model, figures.region) == ("full", "all"):
            text += f"; off by {figures.mean_error:.1%} on average, {figures.worst_error:.1%} at worst, on "
            text += f"{figures.num_networks} others"
    return text


@command.command()
@click.argument("paths", type=TABLE, nargs=-1, required=True)
@click.option("--space", "space_name", help="Also check that every block of this space is there.")
@json_option
def validate(paths: tuple[Path, ...], space_name: str | None, as_json: bool) -> None:
    """Check tables; the first fault is told with file, line and column.

    \b
    Example:
      ofa-hw lut validate lut/host.csv --space fashion
    """
    from ofa_hw.blocks import unique_block_specs
    from ofa_hw.errors import TableError
    from ofa_hw.lut import LatencyTable
    from ofa_hw.plugins import list_profilers
    from ofa_hw.space import get_space

    sound = []
    for path in paths:
        table = LatencyTable.read(path)
        runtimes = (*list_profilers(), "published")
        if table.conditions.runtime not in runtimes:
            raise TableError(
                f"{path}: runtime in the head must be one of {', '.join(runtimes)}; came {table.conditions.runtime!r}: "
                "correct it, or install the package that brings it"
            )
        if space_name is not None:
            for spec in unique_block_specs(get_space(space_name)):
                table.block_ms(spec)
        facts = {"table": str(path), "space": table.space, "device": table.device, "blocks": len(table.measurements)}
        sound.append(facts)
        if not as_json:
            echo(f"{path}: {facts['blocks']} blocks of {table.space} on {table.device}, sound")
    if as_json:
        print_json(sound)


@command.command()
@click.argument("first", type=TABLE)
@click.argument("second", type=TABLE)
@click.option(
    "--rows", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the largest differences."
)
@json_option
def diff(first: Path, second: Path, rows: int, as_json: bool) -> None:
    """Compare two tables: the ratio of each block they share, with its interval.

    \b
    Example:
      ofa-hw lut diff lut/host.csv lut/host-ort.csv
    """
    from ofa_hw.lut import LatencyTable, compare_tables

    difference = compare_tables(LatencyTable.read(first), LatencyTable.read(second))
    if as_json:
        print_json(difference.summary())
        return
    print_facts(difference.summary().items(), title=f"{second} against {first}")
    largest = sorted(difference.blocks, key=lambda block: -abs(block.ratio - 1))[:rows]
    print_table(
        ["block", "first ms", "second ms", "ratio", "from", "to", "clear"],
        [
            (
                block.block.key,
                f"{block.first_ms:.4f}",
                f"{block.second_ms:.4f}",
                f"{block.ratio:.3f}",
                f"{block.ratio_low:.3f}",
                f"{block.ratio_high:.3f}",
                "yes" if block.is_clear else "no",
            )
            for block in largest
        ],
        title="The largest differences",
    )


@command.command(name="import")
@click.argument("paths", type=TABLE, nargs=-1, required=True)
@click.option("--space", "space_name", required=True, help="The space whose blocks the files tell of.")
@click.option("--out", type=TABLE, required=True, help="The table to write.")
@click.option("--device", help="The device that was published.  [default: the name of OUT]")
@json_option
def import_(paths: tuple[Path, ...], space_name: str, out: Path, device: str | None, as_json: bool) -> None:
    """Make a table of published ones: the YAML of once-for-all or ProxylessNAS, one file for each input size.

    \b
    Example:
      ofa-hw lut import note10_224_lookup_table.yaml --space ofa-mobilenetv3-w1.2 --out lut/note10.csv
    """
    from ofa_hw.blocks import unique_block_specs
    from ofa_hw.lut import import_tables
    from ofa_hw.space import get_space

    space = get_space(space_name)
    table = import_tables(paths, space, device=device or out.stem)
    table.write(out)
    num_blocks = len(unique_block_specs(space, table.resolutions))
    if as_json:
        facts = {"table": str(out), "device": table.device, "blocks": len(table.measurements), "of": num_blocks}
        print_json(facts | {"resolutions": table.resolutions})
        return
    sizes = ", ".join(map(str, table.resolutions))
    remark(f"{out}: {len(table.measurements)} of the {num_blocks} blocks of {space.name} at {sizes} px")
