"""Texts of others stand in Markdown as they are."""

import pytest

from ofa_hw.markdown import escaped, table


@pytest.mark.parametrize(
    "text",
    [
        "a](https://evil.example)",
        "![x](https://evil.example/p.png)",
        "<img src=x onerror=alert(1)>",
        "`code` | *bold* ~~gone~~",
        "\\`code\\`",
        "thanks to @everybody, see www.evil.example",
        "a\n\n# heading\r\u2028- list\x1b[2J",
    ],
)
def test_no_markup_of_a_title_passes(text):
    written = escaped(text)
    assert written.isprintable()
    assert "<" not in written
    assert "@" not in written
    assert "://" not in written
    assert "www." not in written
    plain = written.replace("\\\\", "")
    for character in "|`*[]~":
        assert plain.count(character) == plain.count(f"\\{character}")


def test_a_title_cannot_add_a_column_or_a_row():
    lines = table(["what"], [False], [[escaped("a | b\nc")]]).splitlines()
    assert lines == ["| what |", "| --- |", r"| a \| b c |"]
