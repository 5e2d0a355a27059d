"""Two tables side by side: which blocks differ by more than their intervals."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import TableError
from ofa_hw.lut.table import LatencyTable
from ofa_hw.profiling.measurement import Measurement


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDifference:
    """One block in two tables: `ratio` is the second median divided by the first, with the ends of its interval.

    `is_clear` says whether the interval excludes 1.
    """

    block: BlockSpec
    first_ms: float
    second_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    is_clear: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableDifference:
    """All blocks that two tables share, and how many only one of them has."""

    blocks: tuple[BlockDifference, ...]
    num_only_first: int
    num_only_second: int
    changed_conditions: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return figures over all shared blocks; differences are absolute fractions."""
        ratios = np.array([block.ratio for block in self.blocks])
        return {
            "num_shared": len(self.blocks),
            "num_only_first": self.num_only_first,
            "num_only_second": self.num_only_second,
            "median_ratio": float(np.median(ratios)),
            "median_difference": float(np.median(np.abs(ratios - 1))),
            "largest_difference": float(np.abs(ratios - 1).max()),
            "num_clear": sum(block.is_clear for block in self.blocks),
            "changed_conditions": list(self.changed_conditions),
        }


def compare_tables(first: LatencyTable, second: LatencyTable) -> TableDifference:
    """Return how the blocks of `second` differ from those of `first`.

    A block's uncertainty is half the width of its interval and half its spread between processes, added in squares.

    Raises:
        TableError: the tables share no block.
    """
    first_rows = {row.block: row for row in first.measurements}
    second_rows = {row.block: row for row in second.measurements}
    shared = [block for block in first_rows if block in second_rows]
    if not shared:
        raise TableError(f"two tables must share blocks; {first.title} and {second.title} share none")
    before, after = dataclasses.asdict(first.conditions), dataclasses.asdict(second.conditions)
    changed = tuple(f"{key}: {before[key]} -> {after[key]}" for key in before if before[key] != after[key])
    return TableDifference(
        blocks=tuple(_difference(first_rows[block], second_rows[block]) for block in shared),
        num_only_first=len(first_rows) - len(shared),
        num_only_second=len(second_rows) - len(shared),
        changed_conditions=changed,
    )


def _difference(first: Measurement, second: Measurement) -> BlockDifference:
    ratio = second.median_ms / first.median_ms
    error = float(np.hypot(_relative_error(first), _relative_error(second)))
    # Relative errors of a ratio add in squares, to first order.
    low, high = ratio * (1 - error), ratio * (1 + error)
    return BlockDifference(
        block=first.block,
        first_ms=first.median_ms,
        second_ms=second.median_ms,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        is_clear=not low <= 1 <= high,
    )


def _relative_error(row: Measurement) -> float:
    return float(np.hypot(row.relative_ci, (row.process_spread or 0.0) / 2))
