"""The report as one HTML file that opens from disk: styles, scripts and data stand in it, nothing is fetched."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from ofa_hw import __version__
from ofa_hw.report.document import Section
from ofa_hw.report.fronts import network_key
from ofa_hw.report.network_cards import NetworkCard, network_cards
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections import sections_of
from ofa_hw.report.summary import commands_of, lead_of, provenance_of, tiles_of
from ofa_hw.report.theme import DARK, FONT, LIGHT, chart_config, css_variables


def report_html(runs: Sequence[RunResults], comparison: Section | None = None) -> str:
    """Return the page, a `comparison` first; what comes from names and files stands in it as text, never as markup.

    Of several runs lead, tiles and the trade-off hold all of them, and each has its own sections.
    """
    import jinja2
    from markupsafe import Markup

    sections = [*([comparison] if comparison else []), *sections_of(runs)]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html")).render(
        title=", ".join(results.name for results in runs),
        lead=lead_of(runs),
        tiles=tiles_of(runs),
        sections=sections,
        missing=[part for results in runs for part in results.missing],
        runs=[
            {"name": results.name, "facts": provenance_of(results), "commands": commands_of(results)}
            for results in runs
        ],
        version=__version__,
        nbsp="\u00a0",
        zip=zip,
        style=Markup(_style()),
        data=Markup(_json_in_page(_page_data(runs, sections))),
        bundle=Markup(_chart_library()),
        script=Markup(_script_in_page(_asset("page.js"))),
    )


def _page_data(runs: Sequence[RunResults], sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the page's script draws: specifications of the charts, and the networks by their keys."""
    cards = network_cards(runs)
    spaces = [results.space for results in runs]
    return {
        "config": chart_config(),
        "charts": {
            figure.name: figure.chart(width="container", legend=False).to_dict()
            for section in sections
            for figure in section.figures
        },
        "networks": {key: card.to_dict() for key, card in cards.items()},
        "firstNetwork": _first_network(runs, cards),
        "kernels": sorted({size for space in spaces for size in space.all_values(of_kernels=True)}),
        "largestRatio": max(space.all_values(of_kernels=False)[-1] for space in spaces),
    }


def _first_network(runs: Sequence[RunResults], cards: Mapping[str, NetworkCard]) -> str | None:
    """Return the network that is shown before the reader chooses: the middle of the verified, else of the front."""
    on_front = runs[0].front.archs if runs[0].front else ()
    for arch_ids in (list(runs[0].verified["arch_id"]), [arch.arch_id for arch in on_front]):
        if arch_ids:
            return network_key(runs, 0, arch_ids[len(arch_ids) // 2])
    return next(iter(cards), None)


@functools.cache
def _chart_library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which takes seconds to bundle."""
    import vl_convert

    return _script_in_page(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _style() -> str:
    text = _asset("page.css").replace("{{ light }}", css_variables(LIGHT)).replace("{{ dark }}", css_variables(DARK))
    return text.replace("{{ font }}", FONT)


def _asset(name: str) -> str:
    return (resources.files("ofa_hw.report") / "assets" / name).read_text(encoding="utf-8")


def _json_in_page(value: Any) -> str:
    """Return JSON that cannot end the script element in which it stands; NaN and infinity are refused.

    Numbers have the six digits that a picture can show.
    """
    text = json.dumps(_rounded(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list | tuple) else value


def _script_in_page(text: str) -> str:
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
