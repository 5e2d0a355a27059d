"""The trade-off of accuracy and latency, on one device or on several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ofa_hw.report.charts.marks import TOP1_TITLE, Width, color_by_series, latency_axis, latency_scale, layered
from ofa_hw.report.fronts import DeviceFront
from ofa_hw.report.theme import NUM_DEVICE_COLORS, color

if TYPE_CHECKING:
    import altair as alt

LATENCY_TITLE = "latency of one image, ms"

SAMPLED, PREDICTED, VERIFIED = "sampled subnets", "predicted front", "verified networks"


def front_series(fronts: Sequence[DeviceFront]) -> dict[str, str]:
    """Return the series of the chart with their colours: the kinds of one device, or several devices."""
    if len(fronts) > 1:
        return {front.name: f"device-{index % NUM_DEVICE_COLORS}" for index, front in enumerate(fronts)}
    series = {SAMPLED: "cloud", PREDICTED: "predicted", VERIFIED: "verified"}
    if not any(len(front.verified) for front in fronts):
        series.pop(VERIFIED)
    return series


def front_chart(
    fronts: Sequence[DeviceFront],
    *,
    width: Width,
    height: int = 420,
    legend: bool,
    interactive: bool = False,
) -> alt.LayerChart:
    """Return the trade-off: sampled subnets, the predicted front, and the verified networks joined to their promise.

    Where there are several `fronts`, each has a colour; a dashed rule is the budget of a search. An `interactive` chart
    can be brushed (its parameter `brush`) and rings the network whose key its parameter `chosen` holds.
    """
    import altair as alt

    latencies = [value for front in fronts for value in _latencies(front)]
    latency = alt.X(
        "latency_ms:Q",
        title=LATENCY_TITLE,
        scale=latency_scale(latencies, margin=0.08),
        axis=latency_axis(latencies, grid=False),
    )
    top1 = alt.Y("top1:Q", title=TOP1_TITLE, scale=alt.Scale(zero=False, padding=10))
    series = color_by_series(front_series(fronts), legend)
    has_devices = len(fronts) > 1
    dots = _base(fronts, "samples", SAMPLED).encode(latency, top1, tooltip=_network_tooltip(has_devices))
    line = _base(fronts, "front", PREDICTED).encode(latency, top1, tooltip=_network_tooltip(has_devices))
    layers: list[Any] = [
        dots.mark_circle(size=26, opacity=0.22 if has_devices else 0.38).encode(series),
        line.mark_line(strokeWidth=2, strokeJoin="round").encode(series),
        line.mark_circle(size=40, opacity=1).encode(series),
    ]
    if interactive:
        layers += [_ring(dots), _ring(line)]
    layers += _verified_layers(fronts, latency, top1, series, interactive)
    budgets = [
        {"latency_ms": front.max_latency_ms, "series": _series(fronts, front, PREDICTED)}
        for front in fronts
        if front.max_latency_ms is not None
    ]
    if budgets:
        layers += _budget_layers(budgets, latency, series)
    chart = layered(layers, width, height)
    if not interactive:
        return chart
    return chart.add_params(alt.selection_interval(name="brush"), alt.param(name="chosen", value=""))


def _budget_layers(budgets: Sequence[Mapping[str, Any]], latency: alt.X, series: alt.Color) -> list[Any]:
    import altair as alt

    base = alt.Chart(alt.Data(values=list(budgets))).encode(latency)
    tooltip = [alt.Tooltip("latency_ms:Q", title="budget of the search, ms", format=".3f")]
    label = base.mark_text(align="right", dx=-5, dy=4, baseline="top", fontSize=11, color=color("muted"))
    return [
        base.mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(series, tooltip=tooltip),
        label.encode(alt.Y(value=0), text=alt.value("budget")),
    ]


def _latencies(front: DeviceFront) -> list[float]:
    budget = [] if front.max_latency_ms is None else [front.max_latency_ms]
    return [
        *front.samples["latency_ms"].dropna(),
        *front.front["latency_ms"],
        *front.verified["measured_latency_ms"],
        *budget,
    ]


def _series(fronts: Sequence[DeviceFront], front: DeviceFront, kind: str) -> str:
    return front.name if len(fronts) > 1 else kind


def _base(fronts: Sequence[DeviceFront], table: str, kind: str) -> alt.Chart:
    import altair as alt

    values = [
        {
            "series": _series(fronts, front, kind),
            "network": row["network"],
            "arch_id": row["arch_id"],
            "latency_ms": row["latency_ms"],
            "top1": 100 * row["top1"],
        }
        for front in fronts
        for row in getattr(front, table).dropna(subset=["latency_ms"]).to_dict("records")
    ]
    return alt.Chart(alt.Data(values=values))


def _ring(points: alt.Chart, *, size: int = 230) -> alt.Chart:
    import altair as alt

    is_chosen = alt.condition("datum.network === chosen", alt.value(1), alt.value(0))
    ring: alt.Chart = points.mark_point(size=size, strokeWidth=2, color=color("ink"), filled=False)
    return ring.encode(opacity=is_chosen)


def _verified_layers(
    fronts: Sequence[DeviceFront], latency: alt.X, top1: alt.Y, series: alt.Color, interactive: bool
) -> list[Any]:
    import altair as alt

    values = [
        _verified_point(row) | {"series": _series(fronts, front, VERIFIED)}
        for front in fronts
        for row in front.verified.to_dict("records")
    ]
    tooltip = [alt.Tooltip("number:Q", title="network"), *_network_tooltip(len(fronts) > 1)]
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
        base.mark_text(fontSize=12, fontWeight="bold", color=color("surface"), dy=0.5).encode(text="number:Q"),
    ]


def _verified_point(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "network": row["network"],
        "number": row["number"],
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


def _network_tooltip(has_devices: bool) -> list[alt.Tooltip]:
    import altair as alt

    return [
        *([alt.Tooltip("series:N", title="on")] if has_devices else []),
        alt.Tooltip("arch_id:N", title="architecture"),
        alt.Tooltip("latency_ms:Q", title="latency, ms", format=".3f"),
        alt.Tooltip("top1:Q", title="top-1, %", format=".1f"),
    ]
