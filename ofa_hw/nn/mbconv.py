"""The static blocks: one module for each kind of `BlockSpec`, which are timed, extracted and deployed."""

from __future__ import annotations

from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn.layers import SqueezeExcite, make_activation, make_conv, make_depthwise


class ConvBnAct(nn.Module):
    """Convolution, batch norm, activation: kind `conv`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.conv = make_conv(spec.in_channels, spec.out_channels, spec.kernel_size, stride=spec.stride)
        self.bn = nn.BatchNorm2d(spec.out_channels)
        self.act = make_activation(spec.activation)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, output_size, output_size)."""
        return self.act(self.bn(self.conv(x_BCHW)))


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, then a linear 1x1: kind `dsconv` (timm's DepthwiseSeparableConv)."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.has_skip = spec.has_skip
        self.conv_dw = make_depthwise(spec.in_channels, spec.kernel_size, stride=spec.stride)
        self.bn_dw = nn.BatchNorm2d(spec.in_channels)
        self.act = make_activation(spec.activation)
        self.conv_pwl = make_conv(spec.in_channels, spec.out_channels, 1)
        self.bn_pwl = nn.BatchNorm2d(spec.out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, output_size, output_size)."""
        y_BCHW = self.bn_pwl(self.conv_pwl(self.act(self.bn_dw(self.conv_dw(x_BCHW)))))
        return x_BCHW + y_BCHW if self.has_skip else y_BCHW


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, optional squeeze-and-excite, linear 1x1: kind `mbconv`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.has_skip = spec.has_skip
        self.conv_pw = make_conv(spec.in_channels, spec.mid_channels, 1)
        self.bn_pw = nn.BatchNorm2d(spec.mid_channels)
        self.conv_dw = make_depthwise(spec.mid_channels, spec.kernel_size, stride=spec.stride)
        self.bn_dw = nn.BatchNorm2d(spec.mid_channels)
        self.act = make_activation(spec.activation)
        self.se = SqueezeExcite(spec.mid_channels, spec.se_channels) if spec.use_se else nn.Identity()
        self.conv_pwl = make_conv(spec.mid_channels, spec.out_channels, 1)
        self.bn_pwl = nn.BatchNorm2d(spec.out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, output_size, output_size)."""
        y_BCHW = self.act(self.bn_pw(self.conv_pw(x_BCHW)))
        y_BCHW = self.se(self.act(self.bn_dw(self.conv_dw(y_BCHW))))
        y_BCHW = self.bn_pwl(self.conv_pwl(y_BCHW))
        return x_BCHW + y_BCHW if self.has_skip else y_BCHW


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
    """A linear layer on pooled features: kind `classifier`."""

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.linear = nn.Linear(spec.in_channels, spec.out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the logits (n, out_channels) of (n, in_channels, 1, 1)."""
        return self.linear(x_BCHW.flatten(1))


_MODULES = {
    "conv": ConvBnAct,
    "dsconv": DepthwiseSeparable,
    "mbconv": InvertedResidual,
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
