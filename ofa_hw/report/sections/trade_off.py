"""The trade-off: each pair of a front's figures, the verified networks, all networks; on one device or several."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_hw.report.charts.front_chart import (
    SAMPLED,
    field_of,
    front_chart,
    front_series,
    shown,
    tuning_chart,
    tuning_series,
)
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.fronts import DeviceFront, axes_of, comparable, device_fronts, is_level, wilson_interval
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import figure_cell, kernel_label, milliseconds, percent, points, relative, with_unit
from ofa_hw.search.front import FrontColumn
from ofa_hw.space import ArchConfig

_NOUNS = {"top1": "accuracy", "macs": "MACs", "params": "parameters"}


def trade_off_section(runs: Sequence[RunResults]) -> Section | None:
    """Return the fronts with all that was sampled and verified; None before a search."""
    fronts = device_fronts(runs)
    if not fronts:
        return None
    groups = comparable(fronts)
    pairs = [(group, along, upright) for group in groups for along, upright in axes_of(group[0])]
    title = _title(*pairs[0][1:]) if len(pairs) == 1 else "The front" if len(fronts) == 1 else "The fronts"
    return Section(
        anchor="trade-off",
        title=title,
        about=_about(fronts),
        figures=tuple(
            place for index, pair in enumerate(pairs) for place in _pictures(*pair, index, has_title=len(pairs) > 1)
        ),
        tables=(
            *([_verified_table(fronts)] if any(len(front.verified) for front in fronts) else []),
            *(_front_table(group, index) for index, group in enumerate(groups)),
        ),
        has_detail=True,
    )


def _pictures(
    fronts: Sequence[DeviceFront], along: FrontColumn, upright: FrontColumn, index: int, *, has_title: bool
) -> list[ChartPlace]:
    """Return the picture of a pair of figures and, where networks were verified, what they reach on test images."""
    suffix = "" if index == 0 else f"-{index + 1}"
    pictures = [
        ChartPlace(
            name=f"front{suffix}",
            title=_title(along, upright) if has_title else "",
            series=front_series(fronts),
            description=" ".join(_description(front, along, upright, has_name=len(fronts) > 1) for front in fronts),
            draw=functools.partial(front_chart, fronts, along, upright, interactive=True),
            note=_note(fronts, along, upright),
        )
    ]
    if upright.name != "top1" or not any(len(front.verified.dropna(subset=[along.name])) for front in fronts):
        return pictures
    told = [
        f"{net['label']} {percent(net['test_top1_before'])} before fine-tuning, {percent(net['test_top1'])} after"
        for front in fronts
        for net in front.verified.to_dict("records")
    ]
    return [
        *pictures,
        ChartPlace(
            name=f"tuning{suffix}",
            title="The verified networks on test images",
            series=tuning_series(fronts),
            description=f"Scatter plot of top-1 on the test images: {'; '.join(told)}.",
            draw=functools.partial(tuning_chart, fronts, along, upright, interactive=True),
            note="A ring is a network as it was taken out of the supernet, a disc the same one fine-tuned. Other "
            "images than above: compare within this picture. Bars are 95 % intervals; networks whose difference is "
            "within that of chance are level.",
        ),
    ]


def _title(along: FrontColumn, upright: FrontColumn) -> str:
    words = f"{_noun(upright)} against {_noun(along)}"
    return words[0].upper() + words[1:]


def _noun(figure: FrontColumn) -> str:
    return _NOUNS.get(figure.name, figure.name.replace("_", " "))


def _about(fronts: Sequence[DeviceFront]) -> str:
    """Return what is to be seen, in a few sentences."""
    what = "predicted front" if any(front.is_predicted for front in fronts) else "front"
    has_line = any(len(front.figures) == 2 for front in fronts)
    line = f"the line is the {what}" if has_line else f"larger ones are the {what}"
    if len(fronts) > 1:
        lines = [f"Each has a colour: dots are sampled subnets, {line}."]
    elif SAMPLED in front_series(fronts):
        lines = [f"Each dot is a subnet of the one supernet; {line}."]
    else:
        lines = [f"Each dot is a network of the {what}."]
    if any(len(front.verified) for front in fronts):
        lines.append(
            "A network with the start of its id was verified: extracted, timed whole, and evaluated on the same "
            "validation images; a dotted line joins it to its prediction. What it reaches on test images stands below."
            if any(upright.name == "top1" for front in fronts for _, upright in axes_of(front))
            else "A network with the start of its id was verified: extracted and timed whole; a dotted line joins it "
            "to its prediction."
        )
    if any(len(front.robust) for front in fronts):
        lines.append("A dashed line is what the networks that serve all devices, the robust front, are on each.")
    return " ".join([*lines, "Choose a network to see it; drag over a picture to filter the table of all networks."])


def _note(fronts: Sequence[DeviceFront], along: FrontColumn, upright: FrontColumn) -> str:
    """Return by how much chance moves what is drawn, few images make a top-1 uncertain; and the limits there are."""
    lines = []
    samples = next((front.samples for front in fronts if len(front.samples)), None)
    has_top1 = "top1" in (along.name, upright.name)
    if has_top1 and samples is not None and SAMPLED in front_series(fronts[:1]):
        sample = samples.iloc[len(samples) // 2]
        low, high = wilson_interval(sample["top1"], int(sample["num_images"]))
        lines.append(
            f"A dot's top-1 is of {int(sample['num_images']):,} validation images and uncertain by "
            f"±{50 * (high - low):.1f} points: chance alone lifts many above the front."
        )
    if has_top1 and any(len(front.verified) for front in fronts):
        lines.append("Bars are 95 % intervals of a verified network's top-1 on these images.")
    limited = {figure.name: figure for front in fronts for figure in (along, upright, *front.limited)}
    limits = [limit for figure in limited.values() for limit in _limits_in_words(fronts, figure)]
    if limits:
        lines.append(f"The front keeps what the search was told, dashed where it is near: {' and '.join(limits)}.")
    return " ".join(lines)


def _limits_in_words(fronts: Sequence[DeviceFront], figure: FrontColumn) -> list[str]:
    """Return the limits of `figure`: one where all devices have the same, else that of each device."""
    bounds = {front.name: front.limits[figure.name] for front in fronts if figure.name in front.limits}
    words = f"{_noun(figure)} at {'most' if figure.direction == 'min' else 'least'}"
    if len(bounds) == len(fronts) and len(set(bounds.values())) == 1:
        return [f"{words} {with_unit(figure, next(iter(bounds.values())))}"]
    return [f"{words} {with_unit(figure, bound)} on {name}" for name, bound in bounds.items()]


def _description(front: DeviceFront, along: FrontColumn, upright: FrontColumn, *, has_name: bool) -> str:
    ends = [
        f"{with_unit(upright, net[upright.name])} at {with_unit(along, net[along.name])}"
        for net in (front.front.iloc[0], front.front.iloc[-1])
    ]
    name, kind = f"{front.name}: " if has_name else "", "predicted front" if front.is_predicted else "front"
    text = (
        f"{name}Scatter plot of {_noun(upright)} against {_noun(along)}. The {kind} of {len(front.front)} networks "
        f"goes from {ends[0]} to {ends[1]}."
    )
    return text + (f" {len(front.verified)} of its networks were verified." if len(front.verified) else "")


def _verified_table(fronts: Sequence[DeviceFront]) -> Table:
    # Runs that were verified by earlier versions do not tell what their files reached.
    has_files = all("exported_test_top1" in front.verified for front in fronts if len(front.verified))
    titles = (
        "network", "top-1 predicted", "validation images", "test images", "test, fine-tuned",
        *(["test, file"] if has_files else []), "gain, points",
        "latency predicted, ms", "latency measured, ms", "measured − predicted", "architecture",
    )  # fmt: skip
    rows = [
        Row(
            cells=_with_device(fronts, front, _verified_cells(net, has_files=has_files)),
            network=net["network"],
            place=_place(front, net),
        )
        for front in fronts
        for net in front.verified.to_dict("records")
    ]
    return Table(name="verified", title="The verified networks", columns=_columns(fronts, titles), rows=tuple(rows))


def _verified_cells(net: Mapping[Any, Any], *, has_files: bool) -> tuple[str, ...]:
    return (
        net["arch_id"],
        percent(net["predicted_top1"]),
        percent(net["val_top1"]),
        percent(net["test_top1_before"]),
        percent(net["test_top1"]),
        *([f"{percent(net['exported_test_top1'])}, {net['exported_format']}"] if has_files else []),
        _gain_cell(net),
        milliseconds(net["predicted_latency_ms"]),
        milliseconds(net["measured_latency_ms"]),
        relative(net["measured_latency_ms"] / net["predicted_latency_ms"]),
        summary_of(ArchConfig.from_json(net["arch"])),
    )


def _gain_cell(net: Mapping[Any, Any]) -> str:
    """Return what fine-tuning changed on the test images, told as level where chance may have done it."""
    gain = points(net["test_top1"] - net["test_top1_before"])
    return (
        f"{gain}, level" if is_level(net["test_top1"], net["test_top1_before"], int(net["num_test_images"])) else gain
    )


def _front_table(fronts: Sequence[DeviceFront], index: int) -> Table:
    """Return every network of fronts that have the same figures, the group of this `index`."""
    titles = ("network", *(figure.title for figure in fronts[0].figures), "architecture")
    rows = tuple(
        Row(
            cells=_with_device(
                fronts,
                front,
                (
                    net["arch_id"],
                    *(figure_cell(figure, net[figure.name]) for figure in front.figures),
                    summary_of(ArchConfig.from_json(net["arch"])),
                ),
            ),
            network=net["network"],
            place=_place(front, net),
        )
        for front in fronts
        for net in front.front.to_dict("records")
    )
    kind = "predicted " if fronts[0].is_predicted else ""
    return Table(
        name="networks" if index == 0 else f"networks-{index + 1}",
        title=f"All {len(rows)} networks of the {kind}{'front' if len(fronts) == 1 else 'fronts'}",
        columns=_columns(fronts, titles),
        rows=rows,
        is_long=True,
    )


def _place(front: DeviceFront, net: Mapping[Any, Any]) -> dict[str, float]:
    """Return where a network stands in the pictures of its front, as far as that is known."""
    places = {field_of(figure): shown(figure, net[figure.name]) for figure in front.figures}
    return {field: value for field, value in places.items() if math.isfinite(value)}


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
