"""Colours that can be read, in both themes."""

import pytest

from ofa_hw.report.theme import DARK, LIGHT, chart_config, with_colors


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("background", ["page", "surface"])
@pytest.mark.parametrize(("name", "least"), [("ink", 7), ("muted", 4.5), ("predicted", 4.5), ("verified", 3)])
def test_text_and_marks_stand_out(theme, background, name, least):
    assert contrast(theme[name], theme[background]) >= least


def test_both_themes_name_the_same_colours():
    assert set(LIGHT) == set(DARK)


def test_a_file_that_stands_alone_has_no_variable_left():
    assert "var(--" not in str(with_colors({"config": chart_config()}, DARK))
