"""What all charts share: their width, titles, colours by series, layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt

Width = int | Literal["container"]
"""A number of pixels, or "container" in the page, where a chart is as wide as its place."""

TOP1_TITLE = "top-1 accuracy, %"
WIDE_RATIO = 12
"""From this ratio of the longest to the shortest on, latencies are shown on a logarithmic axis."""


def layered(layers: list[Any], width: Width, height: int) -> alt.LayerChart:
    """Return the layers above each other at this size."""
    import altair as alt

    chart = alt.layer(*layers)
    assert isinstance(chart, alt.LayerChart)
    return chart.properties(width=width, height=height)


def color_by_series(series: Mapping[str, str], legend: bool, field: str = "series") -> alt.Color:
    """Return the encoding that gives each of `series` its colour, with a legend inside the chart or none."""
    import altair as alt

    scale = alt.Scale(domain=list(series), range=[color(name) for name in series.values()])
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend() if legend else None)


def latency_scale(latencies: Sequence[float], *, margin: float) -> alt.Scale:
    """Return the scale of an axis that holds `latencies` (ms, at least one) with a relative `margin` at both ends."""
    import altair as alt

    low, high = min(latencies), max(latencies)
    if high / low >= WIDE_RATIO:
        return alt.Scale(type="log", domain=[low / (1 + margin), high * (1 + margin)], nice=False)
    room = margin / 2 * (high - low) or margin * high
    return alt.Scale(domain=[max(0.0, low - room), high + room], nice=False, zero=False)


def latency_axis(latencies: Sequence[float], *, grid: bool, number_format: str = "~g") -> alt.Axis:
    """Return the axis of `latency_scale`: round numbers, where it is logarithmic 1, 2 and 5 of each power of ten."""
    import altair as alt

    low, high = min(latencies), max(latencies)
    if high / low < WIDE_RATIO:
        return alt.Axis(grid=grid, tickCount=6, format=number_format)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return alt.Axis(grid=grid, values=values, format=number_format)
