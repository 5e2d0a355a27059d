"""`BlockSpec`: one block with all that changes its latency."""

from __future__ import annotations

import dataclasses
import functools

from ofa_hw.space import make_divisible

KINDS = ("conv", "conv_pool", "dsconv", "mbconv", "bottleneck", "head", "classifier")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """One block with all that changes its latency.

    kind          what it is
    ----------    ------------------------------------------------------------------------------------------
    `conv`        k x k convolution, batch norm, activation
    `conv_pool`   k x k convolution of stride 1, batch norm, activation; 3x3 max pooling with `stride`
    `dsconv`      depthwise k x k, batch norm, activation; 1x1 to `out_channels`, batch norm
    `mbconv`      1x1 to `mid_channels`, batch norm, activation; then as `dsconv`, with squeeze-and-excite where used
    `bottleneck`  1x1 to `mid_channels`, batch norm, activation; k x k, batch norm, activation; 1x1 to `out_channels`,
                  batch norm; the sum with the shortcut, activation. The shortcut is the input with `has_skip`, else
                  mean pooling over `stride` pixels, 1x1 to `out_channels`, batch norm
    `head`        1x1 to `mid_channels`, batch norm, activation; global mean; 1x1 to `out_channels`, activation.
                  With `mid_channels` 0: 1x1 to `out_channels`, batch norm, activation; global mean
    `classifier`  global mean where the input is larger than a pixel; a linear layer on (n, `in_channels`)

    `input_size` is the height and width of the square input in pixels. With `has_skip` the block's input is added to
    its output.
    """

    kind: str
    input_size: int
    in_channels: int
    mid_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    activation: str
    use_se: bool
    has_skip: bool

    @property
    def output_size(self) -> int:
        """The height and width of the output in pixels."""
        return 1 if self.kind in ("head", "classifier") else (self.input_size - 1) // self.stride + 1

    @property
    def se_channels(self) -> int:
        """The hidden channels of squeeze-and-excite; 0 without."""
        return make_divisible(self.mid_channels // 4) if self.use_se else 0

    @functools.cached_property
    def key(self) -> str:
        """A readable name that spells out every field; unique for each block."""
        flags = ("-se" if self.use_se else "") + ("-skip" if self.has_skip else "")
        return (
            f"{self.kind}-r{self.input_size}-i{self.in_channels}-m{self.mid_channels}-o{self.out_channels}"
            f"-k{self.kernel_size}-s{self.stride}-{self.activation}{flags}"
        )


def hidden_channels(kind: str, in_channels: int, out_channels: int, expand_ratio: float) -> int:
    """Return the hidden channels of a block: the ratio is of its input, of a `bottleneck` of its output; 0 for none."""
    if kind == "mbconv":
        return make_divisible(round(in_channels * expand_ratio))
    return make_divisible(round(out_channels * expand_ratio)) if kind == "bottleneck" else 0
