"""What other packages bring by entry points: one that is broken is named and left out, and spoils nothing else."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ofa_hw.errors import InvalidInputError, OfaHwError

logger = logging.getLogger(__name__)

T = TypeVar("T")
_told: set[str] = set()


def names_of(group: str) -> tuple[str, ...]:
    """Return the names of the entries of `group`, sorted."""
    return tuple(sorted({entry.name for entry in importlib.metadata.entry_points(group=group)}))


def bring_all(group: str, use: Callable[[str, Any], T]) -> dict[str, T]:
    """Return what `use(name, loaded)` makes of each entry of `group` by its name.

    An entry for which that fails is left out, and a warning names it once in each process.
    """
    brought = {}
    for name in names_of(group):
        try:
            brought[name] = bring(group, name, use)
        except OfaHwError as error:
            told = f"the plug-in {name} ({group}) is left out: {error}"
            if told not in _told:
                logger.warning(told)
                _told.add(told)
    return brought


def bring(group: str, name: str, use: Callable[[str, Any], T]) -> T:
    """Return what `use(name, loaded)` makes of the entry `name` of `group`, which must exist.

    Raises:
        InvalidInputError: it cannot be loaded or used; the message names the entry, its package and what went wrong.
        OfaHwError: `use` says so.
    """
    (entry, *_) = importlib.metadata.entry_points(group=group, name=name)
    try:
        return use(name, entry.load())
    except OfaHwError:
        raise
    except Exception as error:  # whatever code of others leads to
        package = entry.dist.name if entry.dist is not None else entry.value
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InvalidInputError(
            f"the plug-in {name} of {package} ({group}) is broken ({told}): mend it, or remove the package"
        ) from error
