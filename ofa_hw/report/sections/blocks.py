"""What each block costs on the device: where a kernel or an expand ratio is dear, and where it is cheap."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

from ofa_hw.blocks import BlockSpec, block_macs, block_specs, blocks_before
from ofa_hw.blocks.chain import stage_block
from ofa_hw.lut import LatencyTable
from ofa_hw.report.charts import block_costs_chart
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.rounding import count, kernel_label, milliseconds, percent
from ofa_hw.space import BlockChoice, SearchSpace

MAX_RESOLUTIONS = 5
NUM_SLOWEST = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockCost:
    """A choice for the first block of a stage, or for the next ones, which are all alike; stages count from 1."""

    resolution: int
    place: str
    kernel: str
    expand_ratio: float
    latency_ms: float
    spec: BlockSpec


def blocks_section(space: SearchSpace, table: LatencyTable) -> Section | None:
    """Return what the latency table says of elastic blocks; None where it is of another space's sizes."""
    resolutions = _resolutions(table, space)
    if not resolutions:
        return None
    costs = [cost for resolution in resolutions for cost in block_costs(table, space, resolution)]
    shown = resolutions[-1]
    return Section(
        anchor="blocks",
        title=f"What each block costs on {table.device}",
        about=(
            "Measured latency of each choice for a block: columns are the blocks of each stage and in them the kernel "
            "sizes, rows are expand ratios. A cell that stands out is a cliff of this device that MACs do not show."
        ),
        figures=(
            ChartPlace(
                name="blocks",
                title="Latency of blocks",
                series={},
                description=f"Heat map of {len(costs)} measured blocks. At {shown} px {_cliff(costs, shown)}.",
                draw=functools.partial(block_costs_chart, [_chart_row(cost) for cost in costs], shown),
                note="Above the columns stands the stage and whether it is its first block or one of the next; the "
                "colours mean the same times at every size of input.",
            ),
        ),
        tables=(_slowest(table),),
    )


def block_costs(table: LatencyTable, space: SearchSpace, resolution: int) -> list[BlockCost]:
    """Return every choice for the first and the next block of each stage that the table holds."""
    known = {row.block: row.median_ms for row in table.measurements}
    found: dict[tuple[str, BlockChoice], BlockCost] = {}
    chain = block_specs(space, space.uniform_arch(resolution=resolution))[len(blocks_before(space, resolution)) :]
    for position, (stage, rank) in enumerate(zip(space.position_stages, space.position_ranks, strict=True)):
        if rank > 1:
            continue
        place, largest = f"{stage + 1} {'first' if rank == 0 else 'next'}", chain[position]
        for choice in space.forms[position]:
            spec = stage_block(
                space,
                stage,
                rank,
                choice,
                size=largest.input_size,
                in_channels=largest.in_channels,
                width_ratio=space.width_ratios[-1] if space.has_elastic_width else 1,
            )
            if spec in known:
                found[place, choice] = BlockCost(
                    resolution=resolution,
                    place=place,
                    kernel=kernel_label(choice),
                    expand_ratio=choice.get("expand_ratio", 1),
                    latency_ms=known[spec],
                    spec=spec,
                )
    return sorted(found.values(), key=lambda cost: cost.place)


def _resolutions(table: LatencyTable, space: SearchSpace) -> tuple[int, ...]:
    """Return at most MAX_RESOLUTIONS input sizes that table and space share, the largest among them."""
    shared = [resolution for resolution in table.resolutions if resolution in space.resolutions]
    step = max(1, -(-len(shared) // MAX_RESOLUTIONS))
    return tuple(sorted(shared[::-1][::step]))


def _chart_row(cost: BlockCost) -> dict[str, Any]:
    return {
        "resolution": cost.resolution,
        "place": cost.place,
        "kernel": cost.kernel,
        "expand": f"{cost.expand_ratio:g}",
        "latency_ms": cost.latency_ms,
        "macs": block_macs(cost.spec),
        "block": cost.spec.key,
    }


def _cliff(costs: Sequence[BlockCost], resolution: int) -> str:
    """Return in words the greatest step between neighbouring kernel sizes."""
    by_choice: dict[tuple[str, float], list[BlockCost]] = {}
    for cost in costs:
        if cost.resolution == resolution:
            by_choice.setdefault((cost.place, cost.expand_ratio), []).append(cost)
    steps = [
        (after.latency_ms / before.latency_ms, before, after)
        for group in by_choice.values()
        for before, after in itertools.pairwise(group)
    ]
    if not steps:
        return "there is one kernel size"
    ratio, before, after = max(steps, key=lambda step: step[0])
    return (
        f"the greatest step is {ratio:.1f} times, from kernel {before.kernel} to {after.kernel} in "
        f"stage {after.place} block, expand ratio {after.expand_ratio:g}"
    )


def _slowest(table: LatencyTable) -> Table:
    rows = sorted(table.measurements, key=lambda row: -row.median_ms)[:NUM_SLOWEST]
    titles = ("block", "latency, ms", "95 % interval, ±", "MACs", "marks")
    return Table(
        name="slowest",
        title=f"The {len(rows)} slowest blocks",
        columns=tuple(Column(title=title, is_number=title not in ("block", "marks")) for title in titles),
        rows=tuple(
            Row(
                cells=(
                    row.block.key,
                    milliseconds(row.median_ms),
                    percent(row.relative_ci),
                    count(block_macs(row.block)),
                    row.marks,
                )
            )
            for row in rows
        ),
        folded=True,
    )
