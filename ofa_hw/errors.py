"""What can go wrong, by what has to be mended.

Every message is one line that says what must hold, what came instead and what to do next. The command line
prints it and exits with 1; a script catches `OfaHwError` or one of its kinds.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


class OfaHwError(Exception):
    """Any failure that ofa-hw expects and explains."""


class InvalidInputError(OfaHwError, ValueError):
    """A value from the caller is outside what the space, the schedule or the command admits."""


class DataError(OfaHwError):
    """Images cannot be used: a folder is missing or empty, a file is damaged, classes disagree."""


class TableError(OfaHwError):
    """A latency table is damaged, mixed, of another space, or lacks a block."""


class DeviceError(OfaHwError):
    """A device or its runtime does not answer, or cannot run what it was given."""


class MissingDependencyError(OfaHwError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class RunError(OfaHwError):
    """A run folder lacks what a command needs, is of another space, or holds a damaged file."""


def or_nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error about `word`: which of `known` was probably meant; "" where none is near."""
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(word.lower(), names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def how_to_install(*extras: str) -> str:
    """Return the command that brings these extras of ofa-hw: by its name, or of the checkout that this is run from."""
    root = Path(__file__).resolve().parents[1]
    text = f"[{','.join(extras)}]" if extras else ""
    if not (root / "pyproject.toml").is_file():
        return f"pip install {shlex.quote(f'ofa-hw{text}')}"
    where = "." if Path.cwd() == root else str(root)
    return f"pip install -e {shlex.quote(where + text)}"
