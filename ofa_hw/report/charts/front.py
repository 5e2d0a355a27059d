"""The trade-off of accuracy and latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ofa_hw.report.charts.marks import TOP1_TITLE, Width, color_by_series, latency_axis, latency_scale, layered
from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

LATENCY_TITLE = "latency of one image, ms"

FRONT_SERIES = {
    "sampled subnets": "cloud",
    "predicted front": "predicted",
    "verified networks": "verified",
}


def front_chart(
    samples: pd.DataFrame,
    front: pd.DataFrame,
    verified: pd.DataFrame,
    *,
    max_latency_ms: float | None = None,
    width: Width,
    height: int = 420,
    legend: bool,
    interactive: bool = False,
) -> alt.LayerChart:
    """Return the trade-off: sampled subnets, the predicted front, and the verified networks joined to their promise.

    `samples` has arch_id, predicted_latency_ms and top1, `front` FRONT_COLUMNS, `verified` VERIFIED_COLUMNS with
    test_top1_low and test_top1_high, the ends of an interval. An `interactive` chart can be brushed (its parameter
    `brush`) and rings the network whose arch_id its parameter `chosen` holds.
    """
    import altair as alt

    latencies = [
        *samples["predicted_latency_ms"].dropna(),
        *front["predicted_latency_ms"],
        *verified["measured_latency_ms"],
    ]
    latency = alt.X(
        "latency_ms:Q",
        title=LATENCY_TITLE,
        scale=latency_scale(latencies, margin=0.08),
        axis=latency_axis(latencies, grid=False),
    )
    top1 = alt.Y("top1:Q", title=TOP1_TITLE, scale=alt.Scale(zero=False, padding=10))
    series = color_by_series(FRONT_SERIES, legend)
    cloud, predicted, measured = FRONT_SERIES
    tooltip = _network_tooltip()
    dots = alt.Chart(_points(samples, "predicted_latency_ms", "top1", cloud)).encode(latency, top1, tooltip=tooltip)
    line = alt.Chart(_points(front, "predicted_latency_ms", "predicted_top1", predicted)).encode(
        latency, top1, tooltip=tooltip
    )
    layers: list[Any] = [
        dots.mark_circle(size=26, opacity=0.38).encode(series),
        line.mark_line(strokeWidth=2, strokeJoin="round").encode(series),
        line.mark_circle(size=40, opacity=1).encode(series),
    ]
    if interactive:
        layers += [_ring(dots), _ring(line)]
    layers += _verified_layers(verified, measured, latency, top1, series, interactive)
    if max_latency_ms is not None:
        budget = alt.Chart(alt.Data(values=[{"latency_ms": max_latency_ms}]))
        layers.append(budget.mark_rule(strokeDash=[5, 4], color=color("muted")).encode(latency))
    chart = layered(layers, width, height)
    if not interactive:
        return chart
    return chart.add_params(alt.selection_interval(name="brush"), alt.param(name="chosen", value=""))


def _ring(points: alt.Chart, *, size: int = 230) -> alt.Chart:
    import altair as alt

    is_chosen = alt.condition("datum.arch_id === chosen", alt.value(1), alt.value(0))
    ring: alt.Chart = points.mark_point(size=size, strokeWidth=2, color=color("ink"), filled=False)
    return ring.encode(opacity=is_chosen)


def _verified_layers(
    verified: pd.DataFrame, name: str, latency: alt.X, top1: alt.Y, series: alt.Color, interactive: bool
) -> list[Any]:
    import altair as alt

    values = [
        {
            "series": name,
            "network": number,
            "arch_id": row["arch_id"],
            "latency_ms": row["measured_latency_ms"],
            "top1": 100 * row["test_top1"],
            "fast": row["measured_latency_low_ms"],
            "slow": row["measured_latency_high_ms"],
            "low": 100 * row["test_top1_low"],
            "high": 100 * row["test_top1_high"],
            "promised_ms": row["predicted_latency_ms"],
            "promised_top1": 100 * row["predicted_top1"],
        }
        for number, row in enumerate(verified.to_dict("records"), start=1)
    ]
    tooltip = [alt.Tooltip("network:Q"), *_network_tooltip()]
    base = alt.Chart(alt.Data(values=values)).encode(latency, top1, tooltip=tooltip)
    promise = {"x2": "promised_ms:Q", "y2": "promised_top1:Q"}
    interval = {"y": alt.Y("low:Q", title=TOP1_TITLE), "y2": "high:Q"}
    return [
        base.mark_rule(color=color("muted"), strokeDash=[2, 3], strokeWidth=1).encode(**promise),
        base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(**interval, color=series),
        base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(
            alt.X("fast:Q", title=LATENCY_TITLE), x2="slow:Q", color=series
        ),
        base.mark_circle(size=340, opacity=1, stroke=color("surface"), strokeWidth=2).encode(color=series),
        *([_ring(base, size=560)] if interactive else []),
        base.mark_text(fontSize=12, fontWeight="bold", color=color("surface"), dy=0.5).encode(text="network:Q"),
    ]


def _points(table: pd.DataFrame, latency: str, top1: str, series: str) -> alt.Data:
    import altair as alt

    return alt.Data(
        values=[
            {"series": series, "arch_id": row["arch_id"], "latency_ms": row[latency], "top1": 100 * row[top1]}
            for row in table.dropna(subset=[latency]).to_dict("records")
        ]
    )


def _network_tooltip() -> list[alt.Tooltip]:
    import altair as alt

    return [
        alt.Tooltip("arch_id:N", title="architecture"),
        alt.Tooltip("latency_ms:Q", title="latency, ms", format=".3f"),
        alt.Tooltip("top1:Q", title="top-1, %", format=".1f"),
    ]
