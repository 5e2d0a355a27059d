"""The block of ResNets: three convolutions beside a shortcut (ResNet-D, arXiv 1812.01187, section 4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.layers import make_activation, make_conv


class Bottleneck(nn.Module):
    """1x1, k x k and 1x1 convolution, each with batch norm, and a shortcut: kind `bottleneck`.

    A shortcut that changes the shape is a mean over `stride` by `stride` pixels and a 1x1 convolution, so that no pixel
    is passed over; at an odd edge the mean is that of the pixels that are there.
    """

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block that `spec` describes."""
        super().__init__()
        self.has_skip = spec.has_skip
        self.stride = spec.stride
        self.conv1 = make_conv(spec.in_channels, spec.mid_channels, 1)
        self.bn1 = nn.BatchNorm2d(spec.mid_channels)
        self.conv2 = make_conv(spec.mid_channels, spec.mid_channels, spec.kernel_size, stride=spec.stride)
        self.bn2 = nn.BatchNorm2d(spec.mid_channels)
        self.conv3 = make_conv(spec.mid_channels, spec.out_channels, 1)
        self.bn3 = nn.BatchNorm2d(spec.out_channels)
        if not spec.has_skip:
            self.conv_shortcut = make_conv(spec.in_channels, spec.out_channels, 1)
            self.bn_shortcut = nn.BatchNorm2d(spec.out_channels)
        self.act = make_activation(spec.activation)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (n, out_channels, output_size, output_size)."""
        y_BCHW = self.act(self.bn1(self.conv1(x_BCHW)))
        y_BCHW = self.act(self.bn2(self.conv2(y_BCHW)))
        y_BCHW = self.bn3(self.conv3(y_BCHW))
        shortcut = x_BCHW if self.has_skip else self.bn_shortcut(self.conv_shortcut(self.pooled(x_BCHW)))
        return self.act(y_BCHW + shortcut)

    def pooled(self, x_BCHW: Tensor) -> Tensor:
        """Return the means over `stride` by `stride` pixels, rounded up to whole windows."""
        return F.avg_pool2d(x_BCHW, self.stride, self.stride, 0, ceil_mode=True) if self.stride > 1 else x_BCHW
