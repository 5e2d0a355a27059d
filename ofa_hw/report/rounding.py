"""How numbers are printed: full precision is kept in files, and rounded here alone."""

from __future__ import annotations

from collections.abc import Mapping

from ofa_hw.search.front import FrontColumn


def percent(fraction: float) -> str:
    """Return 0.8812 as "88.1 %"."""
    return f"{100 * fraction:.1f} %"


def points(fraction: float) -> str:
    """Return the difference 0.012 as "+1.2", in percentage points."""
    return f"{100 * fraction:+.1f}"


def milliseconds(value: float) -> str:
    """Return a time in ms with three significant digits, but at most four behind the point, without its unit."""
    if value >= 100:
        return f"{value:.0f}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f}"


def relative(ratio: float) -> str:
    """Return the ratio 1.032 as "+3.2 %"."""
    return f"{100 * (ratio - 1):+.1f} %"


def count(value: float) -> str:
    """Return 1640000000 as "1.6 billion", 5411904 as "5.4 million", 13834 as "13,834"."""
    for size, word in ((1e12, ""), (1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{value:.1e}" if not word else f"{value / size:.1f}{word}"
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a duration as "42 s" or "7 min 12 s"."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def kernel_label(choice: Mapping[str, float]) -> str:
    """Return the kernel sizes of a block as "5", or as "5+–" where it has two and the second is left out."""
    return "+".join(f"{value or '–'}" for name, value in choice.items() if name.endswith("kernel_size"))


def figure_cell(figure: FrontColumn, value: float) -> str:
    """Return the value of a front's figure without its unit: top-1 in per cent, counts in full."""
    if figure.name == "top1":
        return percent(value)
    if figure.unit == "ms":
        return milliseconds(value)
    return f"{value:,.0f}" if figure.source == "counted" else f"{value:.4g}"


def with_unit(figure: FrontColumn, value: float) -> str:
    """Return the value of a front's figure with its unit, in a sentence."""
    return f"{figure_cell(figure, value)} {figure.unit}".rstrip()
