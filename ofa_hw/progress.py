"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""Called as (what is being done, units done, units in all); the same text goes on with the same bar."""


def no_progress(description: str, done: int, total: int) -> None:
    """Tell nobody: the default of every function that takes a `ProgressCallback`."""
