"""The blocks of MobileNets: depthwise-separable and inverted residual."""

from __future__ import annotations

from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.layers import SqueezeExcite, make_activation, make_conv, make_depthwise


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
