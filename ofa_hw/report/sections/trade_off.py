"""Accuracy against latency: the front, the verified networks, all networks of the front; on one device or several."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_hw.report.charts import front_chart, front_series
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.fronts import DeviceFront, device_fronts, wilson_interval
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import kernel_label, milliseconds, percent, points, relative
from ofa_hw.space import ArchConfig

_ABOUT = (
    "Each dot is a subnet of the one supernet. The line is the predicted front; a numbered network was extracted, "
    "fine-tuned, evaluated on the test images and timed whole, and a dotted line joins it to its prediction. "
    "Choose a network to see it; drag over the picture to filter the table of all networks."
)
_ABOUT_MANY = (
    "One colour a device: dots are sampled subnets, the line is the predicted front. A numbered network was verified: "
    "extracted, fine-tuned, evaluated on the test images and timed whole; a dotted line joins it to its prediction. "
    "Choose a network to see it; drag over the picture to filter the table of all networks."
)


def trade_off_section(runs: Sequence[RunResults]) -> Section | None:
    """Return the fronts with all that was sampled and verified; None before a search."""
    fronts = [front for front in device_fronts(runs) if len(front.front)]
    if not fronts:
        return None
    has_verified = any(len(front.verified) for front in fronts)
    return Section(
        anchor="trade-off",
        title="Accuracy against latency",
        about=_ABOUT if len(fronts) == 1 else _ABOUT_MANY,
        figures=(
            ChartPlace(
                name="front",
                title="",
                series=front_series(fronts),
                description=" ".join(_description(front, has_name=len(fronts) > 1) for front in fronts),
                draw=functools.partial(front_chart, fronts, interactive=True),
                note=_note_on_chance(fronts),
            ),
        ),
        tables=(*([_verified_table(fronts)] if has_verified else []), _front_table(fronts)),
        has_detail=True,
    )


def _note_on_chance(fronts: Sequence[DeviceFront]) -> str:
    """Return by how much chance moves what is drawn: few images make a top-1 uncertain."""
    told = []
    samples = next((front.samples for front in fronts if len(front.samples)), None)
    if samples is not None:
        sample = samples.iloc[len(samples) // 2]
        low, high = wilson_interval(sample["top1"], int(sample["num_images"]))
        told.append(
            f"A dot's top-1 is of {int(sample['num_images']):,} validation images and uncertain by "
            f"±{50 * (high - low):.1f} points: chance alone lifts many above the front."
        )
    if any(len(front.verified) for front in fronts):
        told.append("Bars are 95 % intervals of top-1 on the test images.")
    budgets = sorted({front.max_latency_ms for front in fronts if front.max_latency_ms is not None})
    if budgets:
        told.append(f"The dashed line is the budget of the search, {' and '.join(map(milliseconds, budgets))} ms.")
    return " ".join(told)


def _description(front: DeviceFront, *, has_name: bool) -> str:
    first, last = front.front.iloc[0], front.front.iloc[-1]
    told = (
        f"{f'{front.name}: ' if has_name else ''}Scatter plot of top-1 against latency. The predicted front of "
        f"{len(front.front)} networks goes from {percent(first['top1'])} at {milliseconds(first['latency_ms'])} ms to "
        f"{percent(last['top1'])} at {milliseconds(last['latency_ms'])} ms."
    )
    return told + (f" {len(front.verified)} of its networks were verified." if len(front.verified) else "")


def _verified_table(fronts: Sequence[DeviceFront]) -> Table:
    titles = (
        "network", "top-1 predicted", "validation images", "test images", "test, fine-tuned", "gain, points",
        "latency predicted, ms", "latency measured, ms", "measured − predicted", "architecture",
    )  # fmt: skip
    rows = [
        Row(
            cells=_with_device(fronts, front, _verified_cells(net)),
            network=net["network"],
            latency_ms=net["measured_latency_ms"],
            top1=100 * net["test_top1"],
        )
        for front in fronts
        for net in front.verified.to_dict("records")
    ]
    return Table(name="verified", title="The verified networks", columns=_columns(fronts, titles), rows=tuple(rows))


def _verified_cells(net: Mapping[Any, Any]) -> tuple[str, ...]:
    return (
        str(net["number"]),
        percent(net["predicted_top1"]),
        percent(net["val_top1"]),
        percent(net["test_top1_before"]),
        percent(net["test_top1"]),
        points(net["test_top1"] - net["test_top1_before"]),
        milliseconds(net["predicted_latency_ms"]),
        milliseconds(net["measured_latency_ms"]),
        relative(net["measured_latency_ms"] / net["predicted_latency_ms"]),
        summary_of(ArchConfig.from_json(net["arch"])),
    )


def _front_table(fronts: Sequence[DeviceFront]) -> Table:
    titles = ("network", "top-1 predicted", "latency predicted, ms", "architecture")
    rows = tuple(
        Row(
            cells=_with_device(
                fronts,
                front,
                (
                    net["arch_id"],
                    percent(net["top1"]),
                    milliseconds(net["latency_ms"]),
                    summary_of(ArchConfig.from_json(net["arch"])),
                ),
            ),
            network=net["network"],
            latency_ms=net["latency_ms"],
            top1=100 * net["top1"],
        )
        for front in fronts
        for net in front.front.to_dict("records")
    )
    what = "front" if len(fronts) == 1 else "fronts"
    return Table(
        name="networks",
        title=f"All {len(rows)} networks of the predicted {what}",
        columns=_columns(fronts, titles),
        rows=rows,
        is_long=True,
    )


def _with_device(fronts: Sequence[DeviceFront], front: DeviceFront, cells: tuple[str, ...]) -> tuple[str, ...]:
    """Return the cells with the device behind the first, where there are several."""
    return cells if len(fronts) == 1 else (cells[0], front.name, *cells[1:])


def _columns(fronts: Sequence[DeviceFront], titles: tuple[str, ...]) -> tuple[Column, ...]:
    titles = titles if len(fronts) == 1 else (titles[0], "device", *titles[1:])
    return tuple(Column(title=title, is_number=title not in ("network", "device", "architecture")) for title in titles)


def summary_of(arch: ArchConfig) -> str:
    """Return the resolution, the depths, the kernel sizes and, where they are chosen, the widths on one line."""
    widths = f", widths {' '.join(f'{ratio:g}' for ratio in arch.width_ratios)}" if arch.width_ratios else ""
    labels = [[kernel_label(block) for block in stage] for stage in arch.stages]
    apart = "" if all(len(label) == 1 for stage in labels for label in stage) else ","
    kernels = " ".join(apart.join(stage) for stage in labels)
    return f"{arch.resolution} px, depths {'-'.join(map(str, arch.depths))}, kernels {kernels}{widths}"
