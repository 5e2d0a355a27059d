"""The trade-off of two figures of a front, on one device or on several."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_hw.report.charts.marks import WIDE_RATIO, Width, color_by_series, latency_axis, latency_scale, layered
from ofa_hw.report.fronts import DeviceFront
from ofa_hw.report.theme import NUM_DEVICE_COLORS, color
from ofa_hw.search.front import FrontColumn

if TYPE_CHECKING:
    import altair as alt

SAMPLED, VERIFIED = "sampled subnets", "verified networks"
BEFORE_TUNING, TUNED = "as taken out of the supernet", "fine-tuned"
ROBUST_SERIES = "robust front"
NEAR = 1.5
"""A limit is drawn where it lies within this ratio of what is drawn; a farther one would leave the picture empty."""

CLOSE = 0.12
"""Verified networks within this share of the axis along are neighbours whose labels would lie over each other."""

_TITLES = {"top1": "top-1, validation images, %", "latency": "latency of one image, ms", "macs": "multiply-accumulates"}


def front_series(fronts: Sequence[DeviceFront]) -> dict[str, str]:
    """Return the series of the chart with their colours: the kinds of one device, or several devices."""
    if len(fronts) > 1:
        return {front.name: f"device-{index % NUM_DEVICE_COLORS}" for index, front in enumerate(fronts)}
    series = {SAMPLED: "cloud", _on_front(fronts[0]): "predicted", VERIFIED: "verified"}
    for kind, table in ((SAMPLED, fronts[0].samples), (VERIFIED, fronts[0].verified)):
        if not len(table.dropna(subset=[figure.name for figure in fronts[0].figures])):
            series.pop(kind)
    return series


def field_of(figure: FrontColumn) -> str:
    """Return the name of the field that holds `figure` in a chart's data: one that Vega does not take apart."""
    return re.sub(r"\W", "_", figure.name)


def shown(figure: FrontColumn, value: float) -> float:
    """Return `value` as an axis shows it: top-1 in per cent."""
    return 100 * value if figure.name == "top1" else value


def front_chart(
    fronts: Sequence[DeviceFront],
    along: FrontColumn,
    upright: FrontColumn,
    *,
    width: Width,
    height: int = 420,
    legend: bool,
    interactive: bool = False,
) -> alt.LayerChart:
    """Return `upright` against `along`: sampled subnets, the front, the verified networks joined to their promise.

    Where there are several `fronts`, each has a colour; a dashed rule is a limit of the search. A front of more than
    two figures has no line: its networks lie on a surface. An `interactive` chart can be brushed (its parameter
    `brush`) and rings the network whose key its parameter `chosen` holds.
    """
    return _FrontChart(fronts, along, upright, legend=legend).draw(width, height, interactive=interactive)


def tuning_series(fronts: Sequence[DeviceFront]) -> dict[str, str]:
    """Return the series of `tuning_chart` with their colours."""
    return {BEFORE_TUNING: "cloud", TUNED: "verified"} if len(fronts) == 1 else front_series(fronts)


def tuning_chart(
    fronts: Sequence[DeviceFront],
    along: FrontColumn,
    upright: FrontColumn,
    *,
    width: Width,
    height: int = 260,
    legend: bool,
    interactive: bool = False,
) -> alt.LayerChart:
    """Return top-1 of the verified networks on the test images, before fine-tuning and after, against `along`.

    It stands below the picture of `along` and `upright`, on the same axis along, and apart from it: what is seen there
    is of other images.
    """
    return _FrontChart(fronts, along, upright, legend=legend).draw_tuning(
        width, height, interactive=interactive, series=tuning_series(fronts), legend=legend
    )


class _FrontChart:
    def __init__(
        self, fronts: Sequence[DeviceFront], along: FrontColumn, upright: FrontColumn, *, legend: bool
    ) -> None:
        import altair as alt

        self.fronts, self.axes = fronts, {"x": along, "y": upright}
        self.series = color_by_series(front_series(fronts), legend)
        self.limits = {channel: self._near_limits(figure) for channel, figure in self.axes.items()}
        scales = {channel: self._scale_and_axis(channel, figure) for channel, figure in self.axes.items()}
        self.x = alt.X(f"{field_of(along)}:Q", title=_axis_title(along), scale=scales["x"][0], axis=scales["x"][1])
        self.y = alt.Y(f"{field_of(upright)}:Q", title=_axis_title(upright), scale=scales["y"][0], axis=scales["y"][1])

    def draw(self, width: Width, height: int, *, interactive: bool) -> alt.LayerChart:
        import altair as alt

        has_devices = len(self.fronts) > 1
        dots = self._base("samples", [SAMPLED] * len(self.fronts))
        line = self._base("front", [_on_front(front) for front in self.fronts])
        layers: list[Any] = [dots.mark_circle(size=26, opacity=0.22 if has_devices else 0.38).encode(self.series)]
        if len(self.fronts[0].figures) == 2:
            layers.append(line.mark_line(strokeWidth=2, strokeJoin="round").encode(self.series))
        layers.append(line.mark_circle(size=40, opacity=1).encode(self.series))
        if any(len(front.robust) for front in self.fronts):
            robust = self._base("robust", [ROBUST_SERIES] * len(self.fronts))
            layers.append(robust.mark_line(strokeWidth=2, strokeDash=[7, 4]).encode(self.series))
        if interactive:
            layers += [_ring(dots), _ring(line)]
        layers += [*self._verified_layers(interactive), *self._limit_layers()]
        chart = layered(layers, width, height)
        if not interactive:
            return chart
        return chart.add_params(alt.selection_interval(name="brush"), alt.param(name="chosen", value=""))

    def _drawn(self, figure: FrontColumn) -> list[float]:
        """Return every value of `figure` in the picture, as its axis shows it."""
        tables = [
            table for front in self.fronts for table in (front.samples, front.front, front.verified, front.robust)
        ]
        return [shown(figure, value) for table in tables for value in table[figure.name].dropna()]

    def _near_limits(self, figure: FrontColumn) -> list[dict[str, Any]]:
        values = self._drawn(figure)
        limits = [(front, shown(figure, front.limits.get(figure.name, np.nan))) for front in self.fronts]
        return [
            {field_of(figure): bound, "series": self._series(front, _on_front(front))}
            for front, bound in limits
            if min(values) / NEAR <= bound <= max(values) * NEAR
        ]

    def _scale_and_axis(self, channel: str, figure: FrontColumn) -> tuple[alt.Scale, alt.Axis]:
        import altair as alt

        grid = channel == "y"
        values = [*self._drawn(figure), *(limit[field_of(figure)] for limit in self.limits[channel])]
        number_format = "~s" if max(map(abs, values)) >= 1000 else "~g"
        if figure.name == "top1" or min(values) <= 0:
            return alt.Scale(zero=False, padding=10), alt.Axis(grid=grid, format=number_format)
        return latency_scale(values, margin=0.08), latency_axis(values, grid=grid, number_format=number_format)

    def _series(self, front: DeviceFront, kind: str) -> str:
        return front.name if len(self.fronts) > 1 else kind

    def _base(self, table: str, kinds: Sequence[str]) -> alt.Chart:
        import altair as alt

        values = [
            {"series": self._series(front, kind), "network": row["network"], "arch_id": row["arch_id"]}
            | {field_of(figure): shown(figure, row[figure.name]) for figure in self.axes.values()}
            for front, kind in zip(self.fronts, kinds, strict=True)
            for row in self._placed(getattr(front, table))
        ]
        return alt.Chart(alt.Data(values=values)).encode(self.x, self.y, tooltip=self._tooltip())

    def _placed(self, table: Any) -> list[Mapping[Any, Any]]:
        """Return the rows of networks whose place in the picture is known."""
        rows: list[Mapping[Any, Any]] = table.dropna(subset=[figure.name for figure in self.axes.values()]).to_dict(
            "records"
        )
        return rows

    def _tooltip(self) -> list[alt.Tooltip]:
        import altair as alt

        return [
            *([alt.Tooltip("series:N", title="on")] if len(self.fronts) > 1 else []),
            alt.Tooltip("arch_id:N", title="architecture"),
            *(
                alt.Tooltip(f"{field_of(figure)}:Q", title=_axis_title(figure), format=_tooltip_format(figure))
                for figure in self.axes.values()
            ),
        ]

    def _verified_layers(self, interactive: bool) -> list[Any]:
        import altair as alt

        values = [
            self._verified_point(row) | {"series": self._series(front, VERIFIED)}
            for front in self.fronts
            for row in self._placed(front.verified)
        ]
        tooltip = [*self._tooltip()]
        base = alt.Chart(alt.Data(values=values)).encode(self.x, self.y, tooltip=tooltip)
        along, upright = self.axes["x"], self.axes["y"]
        label = base.encode(text="label:N")
        facts = _label_facts(self._left_labels())
        interval = {"y": alt.Y("y_low:Q", title=_axis_title(upright)), "y2": "y_high:Q"}
        return [
            base.mark_rule(color=color("muted"), strokeDash=[2, 3], strokeWidth=1).encode(
                x2="x_promised:Q", y2="y_promised:Q"
            ),
            base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(**interval, color=self.series),
            base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(
                alt.X("x_low:Q", title=_axis_title(along)), x2="x_high:Q", color=self.series
            ),
            label.mark_text(**facts, stroke=color("surface"), strokeWidth=3),
            label.mark_text(**facts, color=color("ink")),
            base.mark_circle(size=130, opacity=1, stroke=color("surface"), strokeWidth=2).encode(color=self.series),
            *([_ring(base, size=300)] if interactive else []),
        ]

    def draw_tuning(
        self, width: Width, height: int, *, interactive: bool, series: Mapping[str, str], legend: bool
    ) -> alt.LayerChart:
        import altair as alt

        along = field_of(self.axes["x"])
        points = [
            {
                "series": self._series(front, kind),
                "is_tuned": kind == TUNED,
                along: shown(self.axes["x"], row[self.axes["x"].name]),
                "top1": 100 * row[column],
                "low": 100 * row["test_top1_low"],
                "high": 100 * row["test_top1_high"],
                "before": 100 * row["test_top1_before"],
            }
            | {name: row[name] for name in ("network", "label", "arch_id")}
            for front in self.fronts
            for row in self._placed(front.verified)
            for kind, column in ((BEFORE_TUNING, "test_top1_before"), (TUNED, "test_top1"))
        ]
        coloured = color_by_series(series, legend)
        title = "top-1, test images, %"
        tooltip = [
            alt.Tooltip("series:N", title="on" if len(self.fronts) > 1 else "test images"),
            alt.Tooltip("arch_id:N", title="architecture"),
            alt.Tooltip("before:Q", title="as taken out, %", format=".1f"),
            alt.Tooltip("top1:Q", title=title, format=".1f"),
        ]
        y = alt.Y("top1:Q", title=title, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
        base = alt.Chart(alt.Data(values=points)).encode(self.x, y, tooltip=tooltip)
        tuned = base.transform_filter("datum.is_tuned")
        facts = _label_facts(self._left_labels())
        layers: list[Any] = [
            tuned.mark_rule(strokeWidth=1.5, opacity=0.45).encode(
                alt.Y("low:Q", title=title), y2="high:Q", color=coloured
            ),
            base.transform_filter("!datum.is_tuned")
            .mark_point(size=60, strokeWidth=2, filled=False, opacity=1)
            .encode(color=coloured),
            tuned.mark_circle(size=130, opacity=1, stroke=color("surface"), strokeWidth=2).encode(color=coloured),
            tuned.mark_text(**facts, stroke=color("surface"), strokeWidth=3).encode(text="label:N"),
            tuned.mark_text(**facts, color=color("ink")).encode(text="label:N"),
            *([_ring(tuned, size=300)] if interactive else []),
        ]
        chart = layered(layers, width, height)
        return chart.add_params(alt.param(name="chosen", value="")) if interactive else chart

    def _left_labels(self) -> list[str]:
        """Return the labels that stand to the left, clear of a neighbour close on the right."""
        axis = self.axes["x"].name
        places = {row["label"]: row[axis] for front in self.fronts for row in self._placed(front.verified)}
        points = sorted((value, label) for label, value in places.items())
        drawn = self._drawn(self.axes["x"])
        if min(drawn) > 0 and max(drawn) / min(drawn) >= WIDE_RATIO:
            points, drawn = [(math.log(value), label) for value, label in points], [math.log(v) for v in drawn]
        room = CLOSE * (max(drawn) - min(drawn))
        left: list[str] = []
        was_left = False
        for (value, label), (after, _) in itertools.pairwise(points[1:]):  # the first has the axis to its left
            was_left = not was_left and after - value < room
            left += [label] if was_left else []
        return left

    def _verified_point(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        point = {name: row[name] for name in ("network", "label", "arch_id")}
        for channel, figure in self.axes.items():
            point[field_of(figure)] = shown(figure, row[figure.name])
            for end in ("low", "high", "promised"):
                point[f"{channel}_{end}"] = shown(figure, row[f"{figure.name}_{end}"])
        return point

    def _limit_layers(self) -> list[Any]:
        import altair as alt

        layers: list[Any] = []
        for channel, position in (("x", self.x), ("y", self.y)):
            figure = self.axes[channel]
            if not self.limits[channel]:
                continue
            base = alt.Chart(alt.Data(values=self.limits[channel])).encode(position)
            tooltip = [
                alt.Tooltip(f"{field_of(figure)}:Q", title="limit of the search", format=_tooltip_format(figure))
            ]
            layers.append(base.mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(self.series, tooltip=tooltip))
            # Beyond the line of what must be large there are no networks of the front to write over.
            dy = 12 if channel == "y" and figure.direction == "max" else -6
            label = base.mark_text(align="right", dx=-5, dy=dy, fontSize=11, color=color("muted"))
            beside = alt.Y(value=16) if channel == "x" else alt.X(value=34)
            layers.append(label.encode(beside, text=alt.value("limit")))
        return layers


def _on_front(front: DeviceFront) -> str:
    return "predicted front" if front.is_predicted else "front"


def _axis_title(figure: FrontColumn) -> str:
    plain = figure.name.replace("_", " ")
    return _TITLES.get(figure.name, f"{plain}, {figure.unit}" if figure.unit else plain.replace("params", "parameters"))


def _tooltip_format(figure: FrontColumn) -> str:
    if figure.name == "top1":
        return ".1f"
    return ".3f" if figure.unit == "ms" else ",.0f" if figure.source == "counted" else ".4~g"


def _label_facts(left: Sequence[str]) -> dict[str, Any]:
    """Return how the label of a network is set: above to the right of its point, or to the left for those of `left`."""
    is_left = f"indexof({json.dumps(list(left))}, datum.label) >= 0"
    return {
        "fontSize": 11.5,
        "fontWeight": "bold",
        "align": {"expr": f"{is_left} ? 'right' : 'left'"},
        "dx": {"expr": f"{is_left} ? -9 : 9"},
        "dy": -9,
    }


def _ring(points: alt.Chart, *, size: int = 230) -> alt.Chart:
    import altair as alt

    is_chosen = alt.condition("datum.network === chosen", alt.value(1), alt.value(0))
    ring: alt.Chart = points.mark_point(size=size, strokeWidth=2, color=color("ink"), filled=False)
    return ring.encode(opacity=is_chosen)
