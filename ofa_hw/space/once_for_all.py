"""Architectures as once-for-all's code writes them: flat lists with entries for blocks that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.space.architecture import ArchConfig, BlockChoice, plain_ratio, whole

Stage = tuple[BlockChoice, ...]

RESNET_WIDTH_RATIOS = (0.65, 0.8, 1)
"""What the entries of `w` are indices into."""

RESNET_LEAST_DEPTHS = (2, 2, 4, 2)
RESNET_MOST_DROPPED = 2
"""A unit has its least depth and up to two more blocks; `d` is the number of those."""

STEM_BLOCK = BlockChoice(kernel_size=3, expand_ratio=1)


def from_mobile_lists(*, ks: Sequence[int], e: Sequence[float], d: Sequence[int], resolution: int) -> ArchConfig:
    """Return the MobileNetV3 or ProxylessNAS architecture of these lists; InvalidInputError where they do not fit."""
    units, num_positions, has_single = list(d), len(ks), False
    if units and len(ks) % len(units):
        # ProxylessNAS ends with a unit of one position. once-for-all leaves its depth out of `d`, or gives it as drawn.
        has_single, num_positions = True, len(ks) - 1
        units = units if num_positions % len(units) == 0 else units[:-1]
    if len(e) != len(ks) or not units or num_positions % len(units):
        raise InvalidInputError(
            f"ks and e must hold as many entries for each unit of d, or one entry more; came {len(ks)}, {len(e)} "
            f"for {len(d)} units"
        )
    positions = num_positions // len(units)
    if any(not 0 < depth <= positions for depth in (*units, *d[len(units) :])):
        raise InvalidInputError(f"each of d must be 1 to {positions}, the positions of a unit; came {list(d)}")
    blocks = [BlockChoice(kernel_size=whole(k), expand_ratio=ratio) for k, ratio in zip(ks, e, strict=True)]
    stages = [tuple(blocks[unit * positions : unit * positions + depth]) for unit, depth in enumerate(units)]
    if has_single:
        stages.append((blocks[-1],))
    return ArchConfig(resolution=resolution, stages=tuple(stages))


def to_mobile_lists(arch: ArchConfig, *, num_positions: int) -> dict[str, Any]:
    """Return `ks`, `e`, `d` and `r`, each unit filled to `num_positions`."""
    # MobileNetV3 has five units, so a sixth of one block is ProxylessNAS's.
    has_single = len(arch.stages) > 5 and len(arch.stages[-1]) == 1
    units = arch.stages[:-1] if has_single else arch.stages
    padded = [block for unit in units for block in _filled(unit, num_positions)]
    padded += list(arch.stages[-1]) if has_single else []
    return {
        "ks": [block.kernel_size for block in padded],
        "e": [block.expand_ratio for block in padded],
        "d": [len(unit) for unit in units],
        "r": arch.resolution,
    }


def from_resnet_lists(*, e: Sequence[float], d: Sequence[int], w: Sequence[int], resolution: int) -> ArchConfig:
    """Return the ResNet50 architecture of `e`, `d` and `w`.

    The first entry of `d` belongs to the stem, which has its residual block only if the entry is 2. The first two of
    `w` are the widths of the stem's narrow convolutions and of its last one.

    Raises:
        InvalidInputError: a list has another length, or an entry is outside its range.
    """
    most = [least + RESNET_MOST_DROPPED for least in RESNET_LEAST_DEPTHS]
    if (len(e), len(d), len(w)) != (sum(most), 1 + len(most), 2 + len(most)):
        raise InvalidInputError(
            f"a ResNet50 must have {sum(most)} entries in e, {1 + len(most)} in d and {2 + len(most)} in w; "
            f"came {len(e)}, {len(d)} and {len(w)}"
        )
    if any(depth not in range(RESNET_MOST_DROPPED + 1) for depth in d):
        raise InvalidInputError(f"each of d must be 0 to {RESNET_MOST_DROPPED}; came {list(d)}")
    if any(index not in range(len(RESNET_WIDTH_RATIOS)) for index in w):
        raise InvalidInputError(f"each of w must be an index into {RESNET_WIDTH_RATIOS}; came {list(w)}")
    # Our stem is two stages: the narrow convolutions, one or two of them, and the last.
    stages: list[Stage] = [(STEM_BLOCK,) * (2 if d[0] == RESNET_MOST_DROPPED else 1), (STEM_BLOCK,)]
    start = 0
    for least, num_positions, more in zip(RESNET_LEAST_DEPTHS, most, d[1:], strict=True):
        ratios = e[start : start + least + more]
        stages.append(tuple(BlockChoice(kernel_size=3, expand_ratio=ratio) for ratio in ratios))
        start += num_positions
    return ArchConfig(
        resolution=resolution, stages=tuple(stages), width_ratios=tuple(RESNET_WIDTH_RATIOS[index] for index in w)
    )


def to_resnet_lists(arch: ArchConfig) -> dict[str, Any]:
    """Return `e`, `d`, `w` and `r`; InvalidInputError where `arch` is none of once-for-all's ResNet50."""
    stem, units = arch.stages[:2], arch.stages[2:]
    more = [len(unit) - least for unit, least in zip(units, RESNET_LEAST_DEPTHS, strict=False)]
    is_resnet = len(units) == len(RESNET_LEAST_DEPTHS) and set(more) <= set(range(RESNET_MOST_DROPPED + 1))
    if not is_resnet or not set(arch.width_ratios) <= set(RESNET_WIDTH_RATIOS):
        raise InvalidInputError(
            f"once-for-all's lists with w must be those of its ResNet50, with widths {RESNET_WIDTH_RATIOS}; came "
            f"depths {arch.depths} and widths {arch.width_ratios}"
        )
    padded = [
        block
        for unit, least in zip(units, RESNET_LEAST_DEPTHS, strict=True)
        for block in _filled(unit, least + RESNET_MOST_DROPPED)
    ]
    return {
        "e": [plain_ratio(block.expand_ratio) for block in padded],
        "d": [RESNET_MOST_DROPPED * (len(stem[0]) - 1), *more],
        "w": [RESNET_WIDTH_RATIOS.index(ratio) for ratio in arch.width_ratios],
        "r": arch.resolution,
    }


def _filled(unit: Stage, num_positions: int) -> Stage:
    return unit + (unit[-1],) * (num_positions - len(unit))
