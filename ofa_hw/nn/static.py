"""The static blocks: one module for each kind of `BlockSpec`, which are timed, extracted and deployed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn.bottleneck import Bottleneck
from ofa_hw.nn.layers import make_activation, make_conv
from ofa_hw.nn.mbconv import DepthwiseSeparable, InvertedResidual


class ConvBnAct(nn.Module):
    """Convolution, batch norm, activation; then a shortcut or a pooling where there is one: `conv`, `conv_pool`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.has_skip = spec.has_skip
        self.pool_stride = spec.stride if spec.kind == "conv_pool" else 0
        stride = 1 if self.pool_stride else spec.stride
        self.conv = make_conv(spec.in_channels, spec.out_channels, spec.kernel_size, stride=stride)
        self.bn = nn.BatchNorm2d(spec.out_channels)
        self.act = make_activation(spec.activation)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, output_size, output_size)."""
        y_BCHW = self.act(self.bn(self.conv(x_BCHW)))
        return self.pooled(x_BCHW + y_BCHW if self.has_skip else y_BCHW)

    def pooled(self, y_BCHW: Tensor) -> Tensor:
        """Return the maxima over 3x3 pixels of a `conv_pool`, else the values themselves."""
        return F.max_pool2d(y_BCHW, 3, self.pool_stride, 1) if self.pool_stride else y_BCHW


class Head(nn.Module):
    """1x1 convolution, global mean and, where the space has it, a 1x1 mix without batch norm: kind `head`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        width = spec.mid_channels or spec.out_channels
        self.conv = make_conv(spec.in_channels, width, 1)
        self.bn = nn.BatchNorm2d(width)
        self.act = make_activation(spec.activation)
        self.mix = make_conv(width, spec.out_channels, 1) if spec.mid_channels else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, 1, 1)."""
        y_BCHW = self.act(self.bn(self.conv(x_BCHW))).mean((2, 3), keepdim=True)
        return y_BCHW if self.mix is None else self.act(self.mix(y_BCHW))


class Classifier(nn.Module):
    """The global mean of features that are not pooled yet, and a linear layer: kind `classifier`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.linear = nn.Linear(spec.in_channels, spec.out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the logits (n, out_channels) of (n, in_channels, h, w)."""
        return self.linear(pooled_features(x_BCHW))


def pooled_features(x_BCHW: Tensor) -> Tensor:
    """Return the global means (n, channels)."""
    return x_BCHW.flatten(1) if x_BCHW.shape[2] == x_BCHW.shape[3] == 1 else x_BCHW.mean((2, 3))


_MODULES = {
    "conv": ConvBnAct,
    "conv_pool": ConvBnAct,
    "dsconv": DepthwiseSeparable,
    "mbconv": InvertedResidual,
    "bottleneck": Bottleneck,
    "head": Head,
    "classifier": Classifier,
}


def build_block(spec: BlockSpec, *, bn_eps: float = 1e-5, bn_momentum: float = 0.1) -> nn.Module:
    """Return a new module of the block that `spec` describes, its weights as torch initialises them.

    Raises:
        InvalidInputError: the kind is unknown.
    """
    if spec.kind not in _MODULES:
        raise InvalidInputError(f"kind must be one of {', '.join(_MODULES)}; came {spec.kind!r}")
    block = _MODULES[spec.kind](spec)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = bn_eps, bn_momentum
    return block
