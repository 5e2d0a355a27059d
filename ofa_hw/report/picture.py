"""The report as one picture: the trade-off above, training and trust in the table below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ofa_hw.errors import RunError
from ofa_hw.report import charts
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections.trade_off import trade_off_section
from ofa_hw.report.theme import LIGHT, chart_config, with_colors

HALF_WIDTH = 500
GAP = 40
AXIS_WIDTH = 55
"""What the labels of a vertical axis take, so that the upper chart ends where the lower ones do."""


def report_png(runs: Sequence[RunResults], *, scale: float = 1.5) -> bytes:
    """Return the picture as a PNG file; its parts are those for which the runs have the files, at least one.

    Of several runs the lower charts are those of the first.

    Raises:
        RunError: the run holds nothing yet that could be drawn.
    """
    import vl_convert

    picture: bytes = vl_convert.vegalite_to_png(picture_specification(runs), scale=scale)
    return picture


def picture_specification(runs: Sequence[RunResults]) -> dict[str, Any]:
    """Return the Vega-Lite specification of the picture, in the colours of the light theme."""
    import altair as alt

    results = runs[0]
    rows: list[Any] = []
    section = trade_off_section(runs)
    if section is not None:
        width, num_fronts = 2 * HALF_WIDTH + GAP + AXIS_WIDTH, sum(f.name.startswith("front") for f in section.figures)
        names = ", ".join(run.name for run in runs)
        for figure in section.figures:
            height = 220 if figure.name.startswith("tuning") else 430 if num_fronts == 1 else 300
            chart = figure.draw(width=width, height=height, legend=True, interactive=False)
            rows.append(chart.properties(title=_title(figure.title or section.title, names)))
    lower: list[Any] = []
    if results.phases["index"].nunique() > 1:
        chart = charts.phases_chart(results.phases, width=HALF_WIDTH, legend=True)
        lower.append(chart.properties(title=_title("Accuracy by phase of training", "validation images")))
    elif len(results.losses):
        chart = charts.losses_chart(results.losses, width=HALF_WIDTH)
        lower.append(chart.properties(title=_title("Loss of training", "all choices open from the start")))
    if len(results.whole_nets):
        chart = charts.whole_nets_chart(results.whole_nets, width=HALF_WIDTH, legend=True)
        text = f"{len(results.whole_nets)} networks; the bands are 5 % and 10 %"
        lower.append(chart.properties(title=_title("Latency of whole networks: promised, measured", text)))
    if lower:
        rows.append(alt.hconcat(*lower, spacing=GAP).resolve_scale(color="independent"))
    if not rows:
        raise RunError(f"{results.path} holds nothing to draw yet; go on with `{results.missing[0].command}`")
    chart = alt.vconcat(*rows, spacing=36).resolve_scale(color="independent")
    config = chart_config() | {"background": LIGHT["page"], "padding": 24}
    return with_colors(chart.to_dict() | {"config": config}, LIGHT)


def _title(text: str, subtitle: str) -> dict[str, str]:
    return {"text": text, "subtitle": subtitle}
