"""Whole networks' latency beside what the table promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ofa_hw.report.charts.marks import Width, color_by_series, latency_axis, latency_scale, layered
from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

MEASURED_TITLE = "whole network, measured, ms"
PROMISED_TITLE = "promised by the table, ms"
ERROR_TITLE = "measured − promised, % of the promise"

WHOLE_NET_SERIES = {"plain sum of blocks": "cloud", "calibrated prediction": "predicted"}

_BAND_EDGES = tuple(
    (side, share, 1 + sign * share / 100) for share in (5, 10) for side, sign in (("low", -1), ("high", 1))
)


def whole_nets_chart(whole_nets: pd.DataFrame, *, width: Width, height: int = 320, legend: bool) -> alt.LayerChart:
    """Return whole networks' measured latency against what the table promises (WHOLE_NET_COLUMNS).

    The line is equality, the bands are 5 and 10 % to either side.
    """
    import altair as alt

    values = _promises(whole_nets)
    everything = [value[name] for value in values for name in ("promised_ms", "measured_ms")]
    limits, axis = latency_scale(everything, margin=0.1), latency_axis(everything, grid=True)
    promised = alt.X("promised_ms:Q", title=PROMISED_TITLE, scale=limits, axis=axis)
    measured = alt.Y("measured_ms:Q", title=MEASURED_TITLE, scale=limits, axis=axis)
    marks = alt.Chart(alt.Data(values=values)).mark_point(size=60, strokeWidth=1.8, opacity=0.9)
    points = marks.encode(promised, measured, color_by_series(WHOLE_NET_SERIES, legend), tooltip=_promise_tooltip())
    ends = [
        {"promised_ms": at, "measured_ms": at, **{f"{side}{share}": at * factor for side, share, factor in _BAND_EDGES}}
        for at in limits.domain
    ]
    base = alt.Chart(alt.Data(values=ends)).encode(promised)
    bands = [
        base.mark_area(opacity=0.09, color=color("predicted"), clip=True).encode(
            alt.Y(f"low{share}:Q", title=MEASURED_TITLE, scale=limits, axis=axis), y2=f"high{share}:Q"
        )
        for share in (10, 5)
    ]
    equality = base.mark_line(strokeWidth=1, color=color("muted"), clip=True).encode(measured)
    return layered([*bands, equality, points], width, height)


def whole_net_errors_chart(
    whole_nets: pd.DataFrame, *, width: Width, height: int = 320, legend: bool
) -> alt.LayerChart:
    """Return measured − promised of each whole network, in per cent of the promise, with the same bands.

    The columns are WHOLE_NET_COLUMNS.
    """
    import altair as alt

    values = _promises(whole_nets)
    reach = max(12.0, *(1.1 * abs(value["error_percent"]) for value in values))
    error = alt.Y("error_percent:Q", title=ERROR_TITLE, scale=alt.Scale(domain=[-reach, reach], nice=False))
    latencies = [value["promised_ms"] for value in values]
    promised = alt.X(
        "promised_ms:Q",
        title=PROMISED_TITLE,
        scale=latency_scale(latencies, margin=0.08),
        axis=latency_axis(latencies, grid=False),
    )
    edges = alt.Chart(alt.Data(values=[{"low": -share, "high": share} for share in (10, 5)]))
    bands = edges.mark_rect(opacity=0.09, color=color("predicted")).encode(
        alt.Y("low:Q", title=ERROR_TITLE), y2="high:Q"
    )
    zero = alt.Chart(alt.Data(values=[{"error_percent": 0}])).mark_rule(strokeWidth=1, color=color("muted"))
    marks = alt.Chart(alt.Data(values=values)).mark_point(size=60, strokeWidth=1.8, opacity=0.9)
    points = marks.encode(promised, error, color_by_series(WHOLE_NET_SERIES, legend), tooltip=_promise_tooltip())
    return layered([bands, zero.encode(error), points], width, height)


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
            "error_percent": 100 * (row["measured_ms"] / row[column] - 1),
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
        alt.Tooltip("error_percent:Q", title=ERROR_TITLE, format="+.1f"),
    ]
