"""A heat map of what blocks cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ofa_hw.report.charts.marks import Width, layered
from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt


def block_costs_chart(
    rows: Sequence[Mapping[str, Any]], resolution: int, *, width: Width, height: int = 190
) -> alt.LayerChart:
    """Return blocks (place, kernel within it; expand) as cells whose colour is the stronger the slower they are.

    `rows` have resolution, place, kernel, expand, latency_ms, macs and block; the reader chooses one of the
    resolutions, `resolution` first. The colours mean the same milliseconds at all of them.
    """
    import altair as alt

    rows = [{**row, "column": f"{row['place']}{_BETWEEN}{row['kernel']}"} for row in rows]
    sizes = sorted({row["resolution"] for row in rows})
    chosen = alt.param(
        name="resolution",
        value=resolution,
        bind=alt.binding_select(options=sizes, labels=[f"{size} px" for size in sizes], name="input "),
    )
    in_chosen = alt.Chart(alt.Data(values=list(rows))).transform_filter("datum.resolution === resolution")
    columns = _columns(rows)
    ratios = sorted({row["expand"] for row in rows}, key=float, reverse=True)
    angle = 0 if all(len(row["kernel"]) == 1 for row in rows) else -90
    x = alt.X(
        "column:N",
        title="kernel size",
        scale=alt.Scale(domain=columns, paddingInner=0.06, paddingOuter=0),
        axis=alt.Axis(
            labelExpr=f"split(datum.label, '{_BETWEEN}')[1]", labelAngle=angle, labelOverlap=False, labelPadding=4
        ),
    )
    slowest_ms = max(row["latency_ms"] for row in rows)
    # The scale is one of opacity, which serves both themes; a scale of colours cannot be made of CSS variables.
    shade = alt.Opacity(
        "latency_ms:Q",
        scale=alt.Scale(domain=[0, slowest_ms], range=[0.06, 1]),
        legend=alt.Legend(
            title="latency, ms",
            titleColor=color("muted"),
            titleFontWeight="normal",
            symbolType="square",
            symbolFillColor=color("predicted"),
            symbolStrokeWidth=0,
            symbolSize=150,
            values=_round_steps(slowest_ms),
            format="~g",
            columnPadding=6,
            offset=36,  # above the names of the blocks
        ),
    )
    cells = in_chosen.mark_rect(fill=color("predicted"), cornerRadius=2).encode(
        x,
        alt.Y("expand:N", title="expand ratio", sort=ratios),
        shade,
        tooltip=[
            alt.Tooltip("block:N"),
            alt.Tooltip("kernel:N", title="kernel size"),
            alt.Tooltip("latency_ms:Q", title="latency, ms", format=".4f"),
            alt.Tooltip("macs:Q", title="MACs", format=","),
        ],
    )
    places = alt.Chart(alt.Data(values=_headings(columns))).mark_text(
        fontSize=11, baseline="bottom", lineHeight=13, color=color("muted")
    )
    headings = places.encode(alt.X("column:N"), alt.Y(value=-21), text="words:N")
    return layered([cells, headings], width, height).add_params(chosen)


_BETWEEN = "/"
"""Stands between a column's block and its kernel size; a block with none behind it is the gap before it."""


def _round_steps(largest: float) -> list[float]:
    """Return the multiples of a round number up to `largest`, two to five."""
    power = 10.0 ** math.floor(math.log10(largest))
    step = next(step for factor in (0.2, 0.5, 1, 2) if round(largest / (step := factor * power), 9) <= 5)
    return [round(count * step, 12) for count in range(1, int(round(largest / step, 9)) + 1)]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns from left to right: the kernel sizes of each block, a gap between blocks."""
    by_place: dict[str, dict[str, None]] = {}
    for row in rows:
        by_place.setdefault(row["place"], {})[row["column"]] = None
    return [name for place, columns in by_place.items() for name in (f"{place}{_BETWEEN}", *columns)][1:]


def _headings(columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the name of each block, two words in two lines, with the column in its middle."""
    by_place: dict[str, list[str]] = {}
    for column in columns:
        place, kernel = column.split(_BETWEEN)
        if kernel:
            by_place.setdefault(place, []).append(column)
    return [{"column": own[len(own) // 2], "words": place.split(" ")} for place, own in by_place.items()]
