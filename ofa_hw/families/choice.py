"""`Choice`: something that can be chosen anew for every block of a family."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

NONE = 0
"""The kernel size of a layer that is left out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice under its name in architectures; space files list its values under `plural`, from small to large.

    With `is_kernel` the values are kernel sizes, which open in the kernel phase of progressive shrinking; with
    `can_be_none` they may include 0, which leaves the layer out. Else the values are ratios of hidden channels, which
    open in the width phase. A choice that is not `is_elastic` has one value for all blocks of a stage. A `fixed` value
    holds whatever the space lists for other families.
    """

    name: str
    is_kernel: bool
    can_be_none: bool = False
    is_elastic: bool = True
    fixed: float | None = None

    @property
    def plural(self) -> str:
        """The key of its values in space files."""
        return f"{self.name}s"

    def faults(self, values: Any) -> list[str]:
        """Return what is wrong with the values that a space lists for it, a sentence for each fault."""
        numbers: Any = int if self.is_kernel else int | float
        # 1e-300 stands for anything above 0.
        least = NONE if self.can_be_none else 1e-300
        what = "whole numbers" if self.is_kernel else "numbers"
        if not rises(values, numbers, least=least):
            sign = "that are not negative and" if self.can_be_none else "positive and"
            return [f"{self.plural} must hold {what}, {sign} rising without repeats, came {values}"]
        if self.is_kernel and any(value % 2 == 0 for value in values if value != NONE):
            return [f"{self.plural} must be odd{', or 0 for none' if self.can_be_none else ''}, came {values}"]
        return []


def rises(values: Any, numbers: Any, *, least: float = 1e-300) -> bool:
    """Return whether `values` are a tuple of one or more finite numbers of at least `least`, from small to large.

    `numbers` is the type that they must have.
    """
    if not isinstance(values, tuple) or not values:
        return False
    # bool is a kind of int, and no number here.
    if not all(isinstance(v, numbers) and not isinstance(v, bool) and least <= v < math.inf for v in values):
        return False
    return list(values) == sorted(set(values))


KERNEL_SIZE = Choice(name="kernel_size", is_kernel=True)
EXPAND_RATIO = Choice(name="expand_ratio", is_kernel=False)
