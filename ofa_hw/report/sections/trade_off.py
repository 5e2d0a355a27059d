"""Accuracy against latency: the front, the verified networks, all networks of the front."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ofa_hw.report.charts import FRONT_SERIES, front_chart
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.figures import wilson_interval
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import milliseconds, percent, points, relative
from ofa_hw.space import ArchConfig

if TYPE_CHECKING:
    import pandas as pd


def trade_off_section(results: RunResults) -> Section | None:
    """Return the front with all that was sampled and verified; None before a search."""
    if not len(results.front):
        return None
    verified = with_top1_interval(results.verified)
    draw = functools.partial(front_chart, results.samples, results.front, verified, interactive=True)
    series = dict(FRONT_SERIES)
    if not len(verified):
        series.pop("verified networks")
    tables = [_verified_table(results)] if len(verified) else []
    return Section(
        anchor="trade-off",
        title="Accuracy against latency",
        about=(
            "Each dot is a subnet of the one supernet. The line is the predicted front; a numbered network was "
            "extracted, fine-tuned, evaluated on the test images and timed whole, and a dotted line joins it to its "
            "prediction. "
            "Choose a network to see it; drag over the picture to filter the table of all networks."
        ),
        figures=(
            ChartPlace(
                name="front",
                title="",
                series=series,
                description=_front_description(results),
                draw=draw,
                note=_note_on_chance(results),
            ),
        ),
        tables=(*tables, _front_table(results)),
        has_detail=True,
    )


def _note_on_chance(results: RunResults) -> str:
    """Return by how much chance moves what is drawn: few images make a top-1 uncertain."""
    told = []
    if len(results.samples):
        sample = results.samples.iloc[len(results.samples) // 2]
        low, high = wilson_interval(sample["top1"], int(sample["num_images"]))
        told.append(
            f"A dot's top-1 is of {int(sample['num_images']):,} validation images and uncertain by "
            f"±{50 * (high - low):.1f} points: chance alone lifts many above the front."
        )
    if len(results.verified):
        told.append("Bars are 95 % intervals of top-1 on the test images.")
    return " ".join(told)


def with_top1_interval(verified: pd.DataFrame) -> pd.DataFrame:
    """Return `verified` with the ends of the 95 % interval of top-1, test_top1_low and test_top1_high."""
    shares = zip(verified["test_top1"], verified["num_test_images"], strict=True)
    ends = [wilson_interval(top1, int(num)) for top1, num in shares]
    return verified.assign(test_top1_low=[low for low, _ in ends], test_top1_high=[high for _, high in ends])


def _front_description(results: RunResults) -> str:
    first, last = results.front.iloc[0], results.front.iloc[-1]
    told = (
        f"Scatter plot of top-1 against latency. The predicted front of {len(results.front)} networks goes from "
        f"{percent(first['predicted_top1'])} at {milliseconds(first['predicted_latency_ms'])} ms to "
        f"{percent(last['predicted_top1'])} at {milliseconds(last['predicted_latency_ms'])} ms."
    )
    return told + (f" {len(results.verified)} of its networks were verified." if len(results.verified) else "")


def _verified_table(results: RunResults) -> Table:
    titles = (
        "network", "top-1 predicted", "validation images", "test images", "test, fine-tuned", "gain, points",
        "latency predicted, ms", "latency measured, ms", "measured − predicted", "architecture",
    )  # fmt: skip
    rows = tuple(
        Row(
            cells=(
                str(number),
                percent(net["predicted_top1"]),
                percent(net["val_top1"]),
                percent(net["test_top1_before"]),
                percent(net["test_top1"]),
                points(net["test_top1"] - net["test_top1_before"]),
                milliseconds(net["predicted_latency_ms"]),
                milliseconds(net["measured_latency_ms"]),
                relative(net["measured_latency_ms"] / net["predicted_latency_ms"]),
                summary_of(ArchConfig.from_json(net["arch"])),
            ),
            arch_id=net["arch_id"],
        )
        for number, net in enumerate(results.verified.to_dict("records"), start=1)
    )
    columns = tuple(Column(title=title, is_number=title not in ("network", "architecture")) for title in titles)
    return Table(name="verified", title="The verified networks", columns=columns, rows=rows)


def _front_table(results: RunResults) -> Table:
    titles = ("network", "top-1 predicted", "latency predicted, ms", "architecture")
    rows = tuple(
        Row(
            cells=(
                net["arch_id"],
                percent(net["predicted_top1"]),
                milliseconds(net["predicted_latency_ms"]),
                summary_of(ArchConfig.from_json(net["arch"])),
            ),
            arch_id=net["arch_id"],
            latency_ms=net["predicted_latency_ms"],
            top1=100 * net["predicted_top1"],
        )
        for net in results.front.to_dict("records")
    )
    columns = tuple(Column(title=title, is_number=title not in ("network", "architecture")) for title in titles)
    return Table(
        name="networks",
        title=f"All {len(rows)} networks of the predicted front",
        columns=columns,
        rows=rows,
        is_long=True,
    )


def summary_of(arch: ArchConfig) -> str:
    """Return the resolution, the depths and the kernel sizes of `arch` on one line."""
    kernels = " ".join("".join(str(block.kernel_size) for block in stage) for stage in arch.stages)
    return f"{arch.resolution} px, depths {'-'.join(map(str, arch.depths))}, kernels {kernels}"
