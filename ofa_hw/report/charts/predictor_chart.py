"""The accuracy predictor: what it said of networks that it had not seen, and what more samples would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofa_hw.report.charts.marks import Width, color_by_series, layered
from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


INSIDE, OUTSIDE = "measured lies in the 90 % interval", "outside"
HELD_OUT_SERIES = {INSIDE: "predicted", OUTSIDE: "verified"}


def held_out_chart(held_out: pd.DataFrame, *, width: Width, height: int = 320, legend: bool) -> alt.LayerChart:
    """Return measured against predicted top-1 of subnets (HELD_OUT_COLUMNS) with intervals; the line is equality."""
    import altair as alt

    columns = ["top1_measured", "top1_predicted", "low", "high"]
    values = held_out.assign(**{column: 100 * held_out[column] for column in columns})
    is_inside = held_out["top1_measured"].between(held_out["low"], held_out["high"])
    values = values.assign(series=[INSIDE if inside else OUTSIDE for inside in is_inside])
    ends = [float(values[columns[:2]].min().min()), float(values[columns[:2]].max().max())]
    room = 0.04 * (ends[1] - ends[0]) or 0.5
    scale = alt.Scale(domain=[ends[0] - room, ends[1] + room], nice=False, zero=False)
    title = "predicted top-1, %"
    predicted = alt.X("top1_predicted:Q", title=title, scale=scale)
    measured = alt.Y("top1_measured:Q", title="measured top-1, %", scale=scale)
    base = alt.Chart(alt.Data(values=values.to_dict("records"))).encode(measured)
    tooltip = [
        alt.Tooltip("arch_id:N", title="architecture"),
        alt.Tooltip("top1_measured:Q", title="measured, %", format=".1f"),
        alt.Tooltip("top1_predicted:Q", title="predicted, %", format=".1f"),
        alt.Tooltip("low:Q", title="from, %", format=".1f"),
        alt.Tooltip("high:Q", title="to, %", format=".1f"),
    ]
    shade = color_by_series(HELD_OUT_SERIES, legend)
    bars = base.mark_rule(opacity=0.16, clip=True).encode(
        alt.X("low:Q", title=title, scale=scale), x2="high:Q", color=shade
    )
    dots = base.mark_circle(size=24, opacity=0.75).encode(predicted, color=shade, tooltip=tooltip)
    line = alt.Chart(alt.Data(values=[{"top1_measured": end, "top1_predicted": end} for end in ends]))
    equality = line.mark_line(strokeWidth=1, color=color("muted")).encode(predicted, measured)
    return layered([bars, equality, dots], width, height)


def learning_chart(learning: pd.DataFrame, *, width: Width, height: int = 320) -> alt.LayerChart:
    """Return the error on unseen subnets against the number of samples that were learnt from (LEARNING_COLUMNS)."""
    import altair as alt

    base = alt.Chart(alt.Data(values=learning.to_dict("records"))).encode(
        alt.X("num_samples:Q", title="evaluated subnets", axis=alt.Axis(tickCount=6), scale=alt.Scale(nice=False)),
        alt.Y("rmse_points:Q", title="error of top-1, points", scale=alt.Scale(zero=True)),
        tooltip=[
            alt.Tooltip("num_samples:Q", title="subnets", format=","),
            alt.Tooltip("rmse_points:Q", title="error, points", format=".2f"),
            alt.Tooltip("kendall_tau:Q", title="Kendall tau", format=".2f"),
        ],
    )
    label = base.mark_text(dy=-13, fontSize=11, color=color("muted"))
    line = base.mark_line(strokeWidth=2.5, color=color("predicted"), strokeJoin="round")
    points = base.mark_circle(size=70, opacity=1, color=color("predicted"))
    return layered([line, points, label.encode(text=alt.Text("kendall_tau:Q", format=".2f"))], width, height)
