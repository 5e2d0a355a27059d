"""Colours and type of all pictures, light and dark.

A chart names its colours as CSS variables, so that one specification serves both themes in the page; for a file that
stands alone `with_colors` puts the colours of one theme in their place.
"""

from __future__ import annotations

import json
from typing import Any

LIGHT = {
    "page": "#fbfbf9",
    "surface": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#5b626b",
    "line": "#d9dce1",
    "grid": "#eceef0",
    "cloud": "#8b98a8",
    "predicted": "#3358d4",
    "verified": "#d1490c",
    "largest": "#0b4f57",
    "middle": "#14888f",
    "smallest": "#4fb3ae",
    "good": "#18794e",
    "bad": "#c62a2f",
    "kernel-0": "#8fa3ea",
    "kernel-1": "#5674dd",
    "kernel-2": "#2b47b5",
    "device-0": "#3358d4",
    "device-1": "#c2410c",
    "device-2": "#0f766e",
    "device-3": "#9333ea",
    "device-4": "#be185d",
    "device-5": "#4d7c0f",
}
DARK = {
    "page": "#101214",
    "surface": "#181b1f",
    "ink": "#eceef1",
    "muted": "#a0a7b0",
    "line": "#343a42",
    "grid": "#24292f",
    "cloud": "#76848f",
    "predicted": "#8ea4ff",
    "verified": "#ff9159",
    "largest": "#b5f0ea",
    "middle": "#4cc3bd",
    "smallest": "#2f8f8d",
    "good": "#4cc38a",
    "bad": "#ff8b8b",
    "kernel-0": "#5567b8",
    "kernel-1": "#7d93f5",
    "kernel-2": "#bccaff",
    "device-0": "#8ea4ff",
    "device-1": "#ff9159",
    "device-2": "#4cc3bd",
    "device-3": "#c79bff",
    "device-4": "#ff8ab8",
    "device-5": "#a3cf5c",
}
NUM_DEVICE_COLORS = 6
"""How many runs and devices have a colour of their own in one chart."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


def color(name: str) -> str:
    """Return the colour `name` of the theme as a CSS variable."""
    assert name in LIGHT, name
    return f"var(--{name})"


def with_colors(specification: dict[str, Any], theme: dict[str, str]) -> dict[str, Any]:
    """Return `specification` with the colours of `theme` in place of CSS variables."""
    text = json.dumps(specification)
    for name, value in theme.items():
        text = text.replace(f"var(--{name})", value)
    replaced: dict[str, Any] = json.loads(text)
    return replaced


def css_variables(theme: dict[str, str]) -> str:
    """Return the colours of `theme` as declarations of CSS variables."""
    return " ".join(f"--{name}: {value};" for name, value in theme.items())


def chart_config() -> dict[str, Any]:
    """Return Vega-Lite's config: quiet axes, no frame, the page's type."""
    text = {"font": FONT, "fontSize": 12, "color": color("muted")}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": color("muted"),
            "labelFont": FONT,
            "labelFontSize": 12,
            "titleColor": color("muted"),
            "titleFont": FONT,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": color("grid"),
            "domainColor": color("line"),
            "tickColor": color("line"),
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
        },
        "legend": {
            "labelColor": color("ink"),
            "labelFont": FONT,
            "labelFontSize": 12,
            "labelLimit": 400,
            "orient": "top",
            "title": None,
            "offset": 4,
            "symbolSize": 70,
            "symbolOpacity": 1,
        },
        "title": {
            "font": FONT,
            "fontSize": 15,
            "color": color("ink"),
            "subtitleFont": FONT,
            "subtitleFontSize": 12,
            "subtitleColor": color("muted"),
            "anchor": "start",
            "frame": "group",
            "fontWeight": 600,
            "offset": 12,
        },
        "text": text,
    }
