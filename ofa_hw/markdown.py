"""Text and tables as Markdown, such that names and values stand in it as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ESCAPES = (
    ("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"),
    *((character, f"\\{character}") for character in "|`*[]~"),
    ("@", "&#64;"), ("://", "&#58;//"), ("www.", "www&#46;"),
)  # fmt: skip
"""Also what a forge makes of plain text: links, and mentions that write to people."""


def escaped(text: str) -> str:
    """Return `text` such that it stands in a cell, or behind a heading's `#`, as it is: one line, no markup."""
    text = "".join(character if character.isprintable() else " " for character in text)
    for character, written in _ESCAPES:
        text = text.replace(character, written)
    return " ".join(text.split())


def table(columns: Sequence[str], is_number: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are escaped already; columns of numbers stand to the right."""
    lines = [columns, ["---:" if number else "---" for number in is_number], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
