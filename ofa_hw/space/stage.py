"""`StageSpec`: what the blocks of one stage have in common."""

from __future__ import annotations

import dataclasses

ACTIVATIONS = ("relu", "relu6", "h_swish")

STAGE_KINDS = ("mbconv", "bottleneck", "conv", "conv_pool")
"""The kinds of `BlockSpec` that a stage may be made of."""

FIXED_KERNEL_KINDS = ("bottleneck", "conv", "conv_pool")
"""Their kernel has one size: a full convolution has no transform from a larger kernel to a smaller one."""

UNEXPANDED_KINDS = ("conv", "conv_pool")
"""They have no hidden channels, so their only expand ratio is 1."""


def make_divisible(value: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `value`, at least `divisor` and never below 0.9 `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One unit: its blocks are of one kind and share `out_channels`; the first has `stride`, the rest stride 1.

    `out_channels` is counted before the space's width multiplier. `depths`, `kernel_sizes` and `expand_ratios`
    replace the space's where given; stages of plain convolutions have the expand ratio 1 alone.
    """

    out_channels: int
    stride: int
    activation: str
    use_se: bool = False
    kind: str = "mbconv"
    depths: tuple[int, ...] | None = None
    kernel_sizes: tuple[int, ...] | None = None
    expand_ratios: tuple[float, ...] | None = None
