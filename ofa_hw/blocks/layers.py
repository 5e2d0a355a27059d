"""What each kind of block is built of: the layers with weights, from which modules, files and counts take their shapes.

The names are those of timm: `conv_pw`, `conv_dw`, `conv_pwl` of an inverted residual, `conv1` to `conv3` of a
bottleneck.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from ofa_hw.blocks.spec import BlockSpec
from ofa_hw.errors import InvalidInputError


class Layer(NamedTuple):
    """A convolution, or a linear layer, on an input of `size` by `size` pixels that it pads to keep.

    `norm` is the name of the batch norm behind it; empty without.
    """

    name: str
    in_channels: int
    out_channels: int
    size: int = 1
    kernel_size: int = 1
    stride: int = 1
    is_depthwise: bool = False
    is_linear: bool = False
    norm: str = ""
    has_bias: bool = False

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(out, in, kernel, kernel), of a depthwise convolution (channels, 1, kernel, kernel), linear (out, in)."""
        if self.is_linear:
            return self.out_channels, self.in_channels
        return self.out_channels, 1 if self.is_depthwise else self.in_channels, self.kernel_size, self.kernel_size

    @property
    def num_macs(self) -> int:
        """The multiply-accumulates on one image."""
        return ((self.size - 1) // self.stride + 1) ** 2 * math.prod(self.weight_shape)

    @property
    def num_params(self) -> int:
        """The learnt parameters, the scale and shift of the batch norm behind it counted."""
        return math.prod(self.weight_shape) + self.out_channels * (2 * bool(self.norm) + self.has_bias)


@functools.lru_cache(maxsize=4096)
def block_layers(spec: BlockSpec) -> tuple[Layer, ...]:
    """Return the layers of a block, in the order of their execution.

    Raises:
        InvalidInputError: the kind is unknown.
    """
    if spec.kind not in _LAYERS:
        raise InvalidInputError(f"kind must be one of {', '.join(_LAYERS)}; came {spec.kind!r}")
    return _LAYERS[spec.kind](spec)


def _conv(spec: BlockSpec) -> tuple[Layer, ...]:
    stride = 1 if spec.kind == "conv_pool" else spec.stride
    layer = Layer("conv", spec.in_channels, spec.out_channels, spec.input_size, spec.kernel_size, stride, norm="bn")
    return (layer,)


def _depthwise_separable(spec: BlockSpec) -> tuple[Layer, ...]:
    mid, hidden, size = spec.mid_channels, spec.se_channels, spec.input_size
    squeeze: tuple[Layer, ...] = ()
    if spec.use_se:
        squeeze = (
            Layer("se.conv_reduce", mid, hidden, has_bias=True),
            Layer("se.conv_expand", hidden, mid, has_bias=True),
        )
    return (
        Layer("conv_dw", mid, mid, size, spec.kernel_size, spec.stride, is_depthwise=True, norm="bn_dw"),
        *squeeze,
        Layer("conv_pwl", mid, spec.out_channels, spec.output_size, norm="bn_pwl"),
    )


def _inverted_residual(spec: BlockSpec) -> tuple[Layer, ...]:
    expand = Layer("conv_pw", spec.in_channels, spec.mid_channels, spec.input_size, norm="bn_pw")
    return expand, *_depthwise_separable(spec)


def _bottleneck(spec: BlockSpec) -> tuple[Layer, ...]:
    mid, size, out_size = spec.mid_channels, spec.input_size, spec.output_size
    layers = (
        Layer("conv1", spec.in_channels, mid, size, norm="bn1"),
        Layer("conv2", mid, mid, size, spec.kernel_size, spec.stride, norm="bn2"),
        Layer("conv3", mid, spec.out_channels, out_size, norm="bn3"),
    )
    if spec.has_skip:
        return layers
    return *layers, Layer("conv_shortcut", spec.in_channels, spec.out_channels, out_size, norm="bn_shortcut")


def _head(spec: BlockSpec) -> tuple[Layer, ...]:
    features = Layer("conv", spec.in_channels, spec.mid_channels or spec.out_channels, spec.input_size, norm="bn")
    return (features, Layer("mix", spec.mid_channels, spec.out_channels)) if spec.mid_channels else (features,)


def _classifier(spec: BlockSpec) -> tuple[Layer, ...]:
    return (Layer("linear", spec.in_channels, spec.out_channels, is_linear=True, has_bias=True),)


_LAYERS = {
    "conv": _conv,
    "conv_pool": _conv,
    "dsconv": _depthwise_separable,
    "mbconv": _inverted_residual,
    "bottleneck": _bottleneck,
    "head": _head,
    "classifier": _classifier,
}
