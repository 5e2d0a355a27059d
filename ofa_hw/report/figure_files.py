"""Each figure of the report as a file of its own: SVG for a page or a paper, PNG for a chat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ofa_hw.files import write_bytes, write_text
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections import sections_of
from ofa_hw.report.theme import LIGHT, chart_config, with_colors

WIDTH = 720


def write_figures(runs: Sequence[RunResults], folder: Path) -> list[Path]:
    """Write every figure that the runs have to `folder`, as NAME.svg and NAME.png; return the files."""
    import vl_convert

    written = []
    config = chart_config() | {"background": LIGHT["page"], "padding": 16}
    for section in sections_of(runs):
        for figure in section.figures:
            chart = figure.chart(width=WIDTH, legend=True).properties(title=figure.title or section.title)
            specification = with_colors(chart.to_dict() | {"config": config}, LIGHT)
            vector, picture = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
            write_text(vector, vl_convert.vegalite_to_svg(specification))
            write_bytes(picture, vl_convert.vegalite_to_png(specification, scale=2))
            written += [vector, picture]
    return written
