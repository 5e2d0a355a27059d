"""What all charts share: their width, titles, colours by series, layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ofa_hw.report.theme import color

if TYPE_CHECKING:
    import altair as alt

Width = int | Literal["container"]
"""A number of pixels, or "container" in the page, where a chart is as wide as its place."""

TOP1_TITLE = "top-1 accuracy, %"


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
