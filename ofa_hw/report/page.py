"""The report as one HTML file that opens from disk: styles, scripts and data stand in it, nothing is fetched."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from ofa_hw import __version__
from ofa_hw.report.document import Section
from ofa_hw.report.networks import NetworkCard, network_cards
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections import sections_of
from ofa_hw.report.summary import lead_of, provenance_of, tiles_of
from ofa_hw.report.theme import DARK, FONT, LIGHT, chart_config, css_variables


def report_html(results: RunResults, comparison: Section | None = None) -> str:
    """Return the page, a `comparison` first; what comes from names and files stands in it as text, never as markup."""
    import jinja2
    from markupsafe import Markup

    sections = [*([comparison] if comparison else []), *sections_of(results)]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html")).render(
        title=results.name,
        lead=lead_of(results),
        tiles=tiles_of(results),
        sections=sections,
        missing=results.missing,
        provenance=provenance_of(results),
        version=__version__,
        nbsp="\u00a0",
        zip=zip,
        style=Markup(_style()),
        data=Markup(_json_in_page(_page_data(results, sections))),
        bundle=Markup(_chart_library()),
        script=Markup(_script_in_page(_asset("page.js"))),
    )


def _page_data(results: RunResults, sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the page's script draws: specifications of the charts, and the networks by arch_id."""
    space, cards = results.space, network_cards(results)
    return {
        "config": chart_config(),
        "charts": {
            figure.name: figure.chart(width="container", legend=False).to_dict()
            for section in sections
            for figure in section.figures
        },
        "networks": {arch_id: card.to_dict() for arch_id, card in cards.items()},
        "firstNetwork": _first_network(results, cards),
        "space": {
            "kernels": list(space.kernel_sizes),
            "largestRatio": max(space.expand_ratios),
            "channels": [space.width(stage.out_channels) for stage in space.stages],
        },
        "exportCommand": f"ofa-hw export --run {results.path}",
    }


def _first_network(results: RunResults, cards: Mapping[str, NetworkCard]) -> str | None:
    """Return the network that is shown before the reader chooses: the middle of the verified, else of the front."""
    for table in (results.verified, results.front):
        if len(table):
            return str(table["arch_id"].iloc[len(table) // 2])
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
    """Return JSON that cannot end the script element in which it stands; NaN and infinity are refused."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script_in_page(text: str) -> str:
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
