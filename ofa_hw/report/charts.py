"""The figures of a run as Altair charts; each takes the table that it shows.

`width` is a number of pixels, or "container" in the page, where a chart is as wide as its place. With `legend` False
the page tells the series itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

Width = int | Literal["container"]

TOP1_TITLE = "top-1 accuracy, %"
MEASURED_TITLE = "whole network, measured, ms"

FRONT_SERIES = {
    "sampled subnets": "cloud",
    "predicted front": "predicted",
    "verified networks": "verified",
}
SUBNET_SERIES = {"largest": "largest", "middle": "middle", "smallest": "smallest"}
WHOLE_NET_SERIES = {"plain sum of blocks": "cloud", "calibrated prediction": "predicted"}


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

    latency = alt.X(
        "latency_ms:Q",
        title="latency of one image, ms",
        scale=alt.Scale(zero=False, padding=14),
        axis=alt.Axis(grid=False, tickCount=8),
    )
    top1 = alt.Y("top1:Q", title=TOP1_TITLE, scale=alt.Scale(zero=False, padding=10))
    series = _color(FRONT_SERIES, legend)
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
    chart = _layered(layers, width, height)
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
        base.mark_circle(size=340, opacity=1, stroke=color("surface"), strokeWidth=2).encode(color=series),
        *([_ring(base, size=560)] if interactive else []),
        base.mark_text(fontSize=12, fontWeight="bold", color=color("surface"), dy=0.5).encode(text="network:Q"),
    ]


def phases_chart(phases: pd.DataFrame, *, width: Width, height: int = 300, legend: bool) -> alt.LayerChart:
    """Return accuracy at the end of each training phase (PHASE_COLUMNS), one line a subnet."""
    import altair as alt

    ordered = phases.sort_values("index", kind="stable")
    values = ordered.assign(top1=100 * ordered["top1"]).to_dict("records")
    base = alt.Chart(alt.Data(values=values)).encode(
        alt.X("phase:N", sort=list(dict.fromkeys(ordered["phase"])), title=None, axis=alt.Axis(labelAngle=-35)),
        alt.Y("top1:Q", title=TOP1_TITLE, scale=alt.Scale(zero=False, padding=10)),
        color=_color(SUBNET_SERIES, legend, "subnet"),
        tooltip=["phase:N", "subnet:N", alt.Tooltip("top1:Q", title="top-1, %", format=".1f")],
    )
    lines = base.mark_line(strokeWidth=2.5, strokeJoin="round")
    return _layered([lines, base.mark_circle(size=70, opacity=1)], width, height)


def losses_chart(losses: pd.DataFrame, *, width: Width, height: int = 300) -> alt.LayerChart:
    """Return the loss against the images seen (LOSS_COLUMNS); a rule marks where each phase begins."""
    import altair as alt

    begins = losses.groupby("phase", sort=False)["images"].min().reset_index().to_dict("records")
    images = alt.X(
        "images:Q", title="images seen", axis=alt.Axis(format="~s", tickCount=6), scale=alt.Scale(nice=False)
    )
    rules = alt.Chart(alt.Data(values=begins)).mark_rule(color=color("line")).encode(images, tooltip=["phase:N"])
    tooltip = ["phase:N", alt.Tooltip("images:Q", format=","), alt.Tooltip("loss:Q", format=".3f")]
    line = (
        alt.Chart(alt.Data(values=losses.to_dict("records")))
        .mark_line(strokeWidth=1.4, color=color("middle"), strokeJoin="round")
        .encode(images, alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)), detail="phase:N", tooltip=tooltip)
    )
    return _layered([rules, line], width, height)


def whole_nets_chart(whole_nets: pd.DataFrame, *, width: Width, height: int = 320, legend: bool) -> alt.LayerChart:
    """Return whole networks' measured latency against what the table promises (WHOLE_NET_COLUMNS).

    The line is equality, the bands are 5 and 10 % to either side.
    """
    import altair as alt

    values = _promises(whole_nets)
    everything = [value[name] for value in values for name in ("promised_ms", "measured_ms")]
    limits = alt.Scale(domain=[min(everything) * 0.93, max(everything) * 1.07], nice=False, zero=False)
    promised = alt.X("promised_ms:Q", title="promised by the table, ms", scale=limits, axis=alt.Axis(tickCount=6))
    measured = alt.Y("measured_ms:Q", title=MEASURED_TITLE, scale=limits, axis=alt.Axis(tickCount=6))
    marks = alt.Chart(alt.Data(values=values)).mark_point(size=60, strokeWidth=1.8, opacity=0.9)
    points = marks.encode(promised, measured, _color(WHOLE_NET_SERIES, legend), tooltip=_promise_tooltip())
    ends = [
        {"promised_ms": at, "measured_ms": at, **{f"{side}{share}": at * factor for side, share, factor in _BAND_EDGES}}
        for at in limits.domain
    ]
    base = alt.Chart(alt.Data(values=ends)).encode(promised)
    bands = [
        base.mark_area(opacity=0.09, color=color("predicted"), clip=True).encode(
            alt.Y(f"low{share}:Q", title=MEASURED_TITLE, scale=limits), y2=f"high{share}:Q"
        )
        for share in (10, 5)
    ]
    equality = base.mark_line(strokeWidth=1, color=color("muted"), clip=True).encode(measured)
    return _layered([*bands, equality, points], width, height)


_BAND_EDGES = tuple(
    (side, share, 1 + sign * share / 100) for share in (5, 10) for side, sign in (("low", -1), ("high", 1))
)


def whole_net_errors_chart(
    whole_nets: pd.DataFrame, *, width: Width, height: int = 320, legend: bool
) -> alt.LayerChart:
    """Return by how much the table's promise of each whole network is off (WHOLE_NET_COLUMNS), with the same bands."""
    import altair as alt

    values = _promises(whole_nets)
    reach = max(12.0, *(1.1 * abs(value["error_percent"]) for value in values))
    error = alt.Y(
        "error_percent:Q", title="promised against measured, %", scale=alt.Scale(domain=[-reach, reach], nice=False)
    )
    measured = alt.X(
        "measured_ms:Q",
        title=MEASURED_TITLE,
        scale=alt.Scale(zero=False, padding=14),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    edges = alt.Chart(alt.Data(values=[{"low": -share, "high": share} for share in (10, 5)]))
    bands = edges.mark_rect(opacity=0.09, color=color("predicted")).encode(
        alt.Y("low:Q", title="promised against measured, %"), y2="high:Q"
    )
    zero = alt.Chart(alt.Data(values=[{"error_percent": 0}])).mark_rule(strokeWidth=1, color=color("muted"))
    marks = alt.Chart(alt.Data(values=values)).mark_point(size=60, strokeWidth=1.8, opacity=0.9)
    points = marks.encode(measured, error, _color(WHOLE_NET_SERIES, legend), tooltip=_promise_tooltip())
    return _layered([bands, zero.encode(error), points], width, height)


def _promises(whole_nets: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each network and each way in which the table promises its latency."""
    columns = dict(zip(WHOLE_NET_SERIES, ("sum_ms", "predicted_ms"), strict=True))
    return [
        {
            "arch_id": row["arch_id"],
            "origin": row["origin"],
            "series": series,
            "promised_ms": row[column],
            "measured_ms": row["measured_ms"],
            "error_percent": 100 * (row[column] / row["measured_ms"] - 1),
        }
        for series, column in columns.items()
        for row in whole_nets.to_dict("records")
    ]


def _promise_tooltip() -> list[Any]:
    import altair as alt

    return [
        alt.Tooltip("arch_id:N", title="architecture"),
        alt.Tooltip("origin:N"),
        alt.Tooltip("series:N", title="promise"),
        alt.Tooltip("promised_ms:Q", title="promised, ms", format=".3f"),
        alt.Tooltip("measured_ms:Q", title="measured, ms", format=".3f"),
        alt.Tooltip("error_percent:Q", title="error, %", format="+.1f"),
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


def _layered(layers: list[Any], width: Width, height: int) -> alt.LayerChart:
    import altair as alt

    chart = alt.layer(*layers)
    assert isinstance(chart, alt.LayerChart)
    return chart.properties(width=width, height=height)


def _color(series: Mapping[str, str], legend: bool, field: str = "series") -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(series), range=[color(name) for name in series.values()])
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend() if legend else None)
