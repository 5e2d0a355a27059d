"""A heat map of what blocks cost."""

from __future__ import annotations

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

    `rows` have resolution, place, kernel, expand, latency_ms, its share of the slowest, macs and block; the reader
    chooses one of the resolutions, `resolution` first.
    """
    import altair as alt

    sizes = sorted({row["resolution"] for row in rows})
    chosen = alt.param(
        name="resolution",
        value=resolution,
        bind=alt.binding_select(options=sizes, labels=[f"{size} px" for size in sizes], name="input "),
    )
    in_chosen = alt.Chart(alt.Data(values=list(rows))).transform_filter("datum.resolution === resolution")
    ratios = sorted({row["expand"] for row in rows}, key=float, reverse=True)
    cells = in_chosen.encode(
        alt.X("place:N", title="stage and block", axis=alt.Axis(labelAngle=0), scale=alt.Scale(paddingInner=0.12)),
        alt.Y("expand:N", title="expand ratio", sort=ratios),
        xOffset=alt.XOffset("kernel:N", scale=alt.Scale(paddingInner=0.06)),
        tooltip=[
            alt.Tooltip("block:N"),
            alt.Tooltip("kernel:N", title="kernel size"),
            alt.Tooltip("latency_ms:Q", title="latency, ms", format=".4f"),
            alt.Tooltip("macs:Q", title="MACs", format=","),
        ],
    )
    shade = alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None)
    readable = alt.condition("datum.share > 0.6", alt.value(color("surface")), alt.value(color("ink")))
    kernels = in_chosen.mark_text(fontSize=10).encode(
        alt.X("place:N"), alt.Y("expand:N", sort=ratios), xOffset="kernel:N", text="kernel:N", color=readable
    )
    return layered(
        [cells.mark_rect(fill=color("predicted"), cornerRadius=2).encode(shade), kernels], width, height
    ).add_params(chosen)
