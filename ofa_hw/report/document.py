"""The parts of a report, whatever it is written as: sections of charts and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ofa_hw.report.charts.marks import Width

if TYPE_CHECKING:
    import altair as alt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column's heading; numbers stand to the right."""

    title: str
    is_number: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Cells as they are printed; where the row is a network, the key of its card and its place in the trade-off.

    `place` holds what the axes of the pictures show, by the names of their fields.
    """

    cells: tuple[str, ...]
    network: str | None = None
    place: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its title; a folded one is opened by the reader, a long one scrolls."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    folded: bool = False
    is_long: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChartPlace:
    """A chart with its title, its legend (series to colour of the theme), what it shows in words, and a remark.

    `draw` makes it at a `width`; one with series takes `legend`, whether the legend stands inside the chart.
    """

    name: str
    title: str
    series: Mapping[str, str]
    description: str
    draw: Callable[..., alt.LayerChart]
    note: str = ""

    def chart(self, *, width: Width, legend: bool) -> alt.LayerChart:
        """Return the chart; in the page the legend stands beside it."""
        return self.draw(width=width, legend=legend) if self.series else self.draw(width=width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, a sentence about what is to be seen, figures and tables."""

    anchor: str
    title: str
    about: str
    figures: tuple[ChartPlace, ...] = ()
    tables: tuple[Table, ...] = ()
    has_detail: bool = False
