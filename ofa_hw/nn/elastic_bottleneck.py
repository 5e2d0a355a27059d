"""The elastic bottleneck: one set of weights for every width of its input, its hidden channels and its output."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.bottleneck import Bottleneck
from ofa_hw.nn.channel_order import channel_tensors, order_in_bands, permute
from ofa_hw.nn.elastic import ElasticBlock
from ofa_hw.nn.layers import leading


class ElasticBottleneck(ElasticBlock, Bottleneck):
    """A bottleneck of the largest size that also acts as every narrower one."""

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        mid, num_in, num_out = spec.mid_channels, spec.in_channels, spec.out_channels
        y_BCHW = self.act(self.bn1(_conv(x_BCHW, self.conv1, mid, num_in)))
        y_BCHW = self.act(self.bn2(_conv(y_BCHW, self.conv2, mid, mid)))
        y_BCHW = self.bn3(_conv(y_BCHW, self.conv3, num_out, mid))
        if self.has_skip:
            return self.act(y_BCHW + x_BCHW)
        shortcut = self.bn_shortcut(_conv(self.pooled(x_BCHW), self.conv_shortcut, num_out, num_in))
        return self.act(y_BCHW + shortcut)

    @torch.no_grad()
    def start_alike(self) -> None:
        """Let a block with a shortcut begin as the shortcut alone, in place, so that every depth computes the same."""
        if self.has_skip:
            self.bn3.weight.zero_()

    def sort_channels(self, bounds: tuple[int, ...]) -> None:
        """Order the hidden channels in place: those of `conv2` by what they give to `conv3`, then those before it."""
        with torch.no_grad():
            _sort_between(self.conv2, self.bn2, self.conv3, bounds)
            _sort_between(self.conv1, self.bn1, self.conv2, bounds)


def _conv(x_BCHW: Tensor, conv: nn.Conv2d, num_out: int, num_in: int) -> Tensor:
    weight = leading(leading(conv.weight, num_out), num_in, dim=1)
    return F.conv2d(x_BCHW, weight, None, conv.stride, conv.padding)


def _sort_between(conv: nn.Conv2d, norm: nn.BatchNorm2d, following: nn.Conv2d, bounds: tuple[int, ...]) -> None:
    """Order the channels that `conv` gives to `following` by the L1 norm of what it makes of them."""
    order = order_in_bands(following.weight.abs().sum((0, 2, 3)), bounds)
    permute(following.weight, order, dim=1)
    for tensor in (conv.weight, *channel_tensors(norm)):
        permute(tensor, order)
