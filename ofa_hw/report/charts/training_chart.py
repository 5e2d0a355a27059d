"""Training: accuracy by phase, loss by images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofa_hw.report.charts.marks import TOP1_TITLE, Width, color_by_series, layered
from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

MAX_POINTS = 40
"""A line of fewer points shows them, so that a phase of a single one is seen."""
SUBNET_SERIES = {"largest": "largest", "middle": "middle", "smallest": "smallest"}


def phases_chart(phases: pd.DataFrame, *, width: Width, height: int = 300, legend: bool) -> alt.LayerChart:
    """Return accuracy at the end of each training phase (PHASE_COLUMNS), one line a subnet."""
    import altair as alt

    ordered = phases.sort_values("index", kind="stable")
    values = ordered.assign(top1=100 * ordered["top1"]).to_dict("records")
    base = alt.Chart(alt.Data(values=values)).encode(
        alt.X("phase:N", sort=list(dict.fromkeys(ordered["phase"])), title=None, axis=alt.Axis(labelAngle=-35)),
        alt.Y("top1:Q", title=TOP1_TITLE, scale=alt.Scale(zero=False, padding=10)),
        color=color_by_series(SUBNET_SERIES, legend, "subnet"),
        tooltip=["phase:N", "subnet:N", alt.Tooltip("top1:Q", title="top-1, %", format=".1f")],
    )
    lines = base.mark_line(strokeWidth=2.5, strokeJoin="round")
    return layered([lines, base.mark_circle(size=70, opacity=1)], width, height)


def losses_chart(losses: pd.DataFrame, *, width: Width, height: int = 300) -> alt.LayerChart:
    """Return the loss against the images seen (LOSS_COLUMNS); a rule marks where each phase begins."""
    import altair as alt

    begins = losses[["phase", "phase_begin"]].drop_duplicates().rename(columns={"phase_begin": "images"})
    images = alt.X(
        "images:Q", title="images seen", axis=alt.Axis(format="~s", tickCount=6), scale=alt.Scale(nice=False)
    )
    rules = (
        alt.Chart(alt.Data(values=begins.to_dict("records")))
        .mark_rule(color=color("line"))
        .encode(images, tooltip=["phase:N"])
    )
    tooltip = ["phase:N", alt.Tooltip("images:Q", format=","), alt.Tooltip("loss:Q", format=".3f")]
    points = {"size": 14, "color": color("middle")} if len(losses) < MAX_POINTS else False
    line = (
        alt.Chart(alt.Data(values=losses.to_dict("records")))
        .mark_line(strokeWidth=1.4, color=color("middle"), strokeJoin="round", point=points)
        .encode(images, alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)), detail="phase:N", tooltip=tooltip)
    )
    return layered([rules, line], width, height)
