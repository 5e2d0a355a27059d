"""How long-running work reports its progress, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""Called as (what is being done, units done, units in all); calls with the same text belong to one progress bar."""


def no_progress(description: str, done: int, total: int) -> None:
    """Do nothing: the default of every function that takes a `ProgressCallback`."""
