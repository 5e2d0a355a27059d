"""Text and tables as Markdown, such that names and values stand in it as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "\\`"), ("*", "\\*"))


def escaped(text: str) -> str:
    """Return `text` such that it stands in a cell as it is: one line, no markup."""
    for character, written in _ESCAPES:
        text = text.replace(character, written)
    return " ".join(text.split())


def table(columns: Sequence[str], is_number: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are escaped already; columns of numbers stand to the right."""
    lines = [columns, ["---:" if number else "---" for number in is_number], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
