"""The elastic inverted residual: one set of weights for every kernel size and width (arXiv 1908.09791, section 3.2)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec, Layer
from ofa_hw.nn.channel_order import channel_tensors, order_in_bands, permute
from ofa_hw.nn.depthwise import depthwise_conv
from ofa_hw.nn.elastic import ElasticBlock
from ofa_hw.nn.layers import SqueezeExcite, leading
from ofa_hw.nn.mbconv import InvertedResidual


class ElasticInvertedResidual(ElasticBlock, InvertedResidual):
    """An inverted residual of the largest size that also acts as every smaller one.

    A kernel is the centre of the next larger one, passed through a learnt linear map that all channels share and that
    starts as the identity: `transform_7to5` (25, 25), and so on.
    """

    def __init__(self, spec: BlockSpec, *, kernel_sizes: tuple[int, ...]) -> None:
        """Make the block whose largest form is `spec`; `kernel_sizes` rise and end with the kernel size of `spec`."""
        super().__init__(spec)
        self.stride = spec.stride
        self.max_kernel_size = spec.kernel_size
        self.kernel_steps = tuple(itertools.pairwise(reversed(kernel_sizes)))
        for larger, smaller in self.kernel_steps:
            self.register_parameter(f"transform_{larger}to{smaller}", nn.Parameter(torch.eye(smaller**2)))

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        mid = spec.mid_channels
        y_BCHW = F.conv2d(x_BCHW, leading(leading(self.conv_pw.weight, mid), spec.in_channels, dim=1))
        y_BCHW = self.act(self.bn_pw(y_BCHW))
        weight_C1KK = self.depthwise_weight(mid, spec.kernel_size)
        y_BCHW = self.act(self.bn_dw(depthwise_conv(y_BCHW, weight_C1KK, self.stride)))
        if spec.use_se:
            y_BCHW = self._squeeze_excite(y_BCHW, spec)
        weight = leading(leading(self.conv_pwl.weight, spec.out_channels), mid, dim=1)
        y_BCHW = self.bn_pwl(F.conv2d(y_BCHW, weight))
        return x_BCHW + y_BCHW if self.has_skip else y_BCHW

    def depthwise_weight(self, channels: int, kernel_size: int) -> Tensor:
        """Return the depthwise weight (channels, 1, kernel_size, kernel_size) of a smaller kernel and width."""
        weight_C1KK = leading(self.conv_dw.weight, channels)
        for larger, smaller in self.kernel_steps:
            if larger <= kernel_size:
                break
            margin = (larger - smaller) // 2
            centre_C1KK = weight_C1KK[:, :, margin : margin + smaller, margin : margin + smaller]
            matrix = getattr(self, f"transform_{larger}to{smaller}")
            weight_C1KK = F.linear(centre_C1KK.reshape(channels, -1), matrix).reshape(channels, 1, smaller, smaller)
        return weight_C1KK

    def weight_of(self, layer: Layer) -> Tensor:
        """Return the weight of `layer`, of the depthwise one transformed to its kernel size."""
        if layer.is_depthwise:
            return self.depthwise_weight(layer.out_channels, layer.kernel_size)
        return super().weight_of(layer)

    @torch.no_grad()
    def start_alike(self) -> None:
        """Change the new weights, in place, to such that every kernel size computes the same, and every depth.

        Of a kernel only the centre of the smallest size is not 0, and it is as large as the fan-out of that size asks.
        A block with a shortcut begins as the shortcut alone.
        """
        if self.kernel_steps:
            smallest = self.kernel_steps[-1][1]
            weight_C1KK, margin = self.conv_dw.weight, (self.max_kernel_size - smallest) // 2
            centre_C1KK = weight_C1KK[..., margin : margin + smallest, margin : margin + smallest].clone()
            weight_C1KK.zero_()
            weight_C1KK[..., margin : margin + smallest, margin : margin + smallest] = (
                centre_C1KK * self.max_kernel_size / smallest
            )
        if self.has_skip:
            self.bn_pwl.weight.zero_()

    def sort_channels(self, bounds: tuple[int, ...]) -> None:
        """Order the hidden channels in place by the L1 norm of what each gives to `conv_pwl`.

        Squeeze-and-excite's hidden units are then sorted by what they give to its expansion.
        """
        importance = self.conv_pwl.weight.detach().abs().sum((0, 2, 3))
        order = order_in_bands(importance, bounds)
        with torch.no_grad():
            permute(self.conv_pwl.weight, order, dim=1)
            for tensor in (
                self.conv_pw.weight,
                self.conv_dw.weight,
                *channel_tensors(self.bn_pw),
                *channel_tensors(self.bn_dw),
            ):
                permute(tensor, order)
            if isinstance(self.se, SqueezeExcite):
                reduce, expand = self.se.conv_reduce, self.se.conv_expand
                permute(reduce.weight, order, dim=1)
                permute(expand.weight, order)
                permute(expand.bias, order)
                hidden_order = order_in_bands(expand.weight.abs().sum((0, 2, 3)), (expand.in_channels,))
                permute(expand.weight, hidden_order, dim=1)
                permute(reduce.weight, hidden_order)
                permute(reduce.bias, hidden_order)

    def _squeeze_excite(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        mid, hidden = spec.mid_channels, spec.se_channels
        reduce, expand = self.se.conv_reduce, self.se.conv_expand
        y_BCHW = x_BCHW.mean((2, 3), keepdim=True)
        weight = leading(leading(reduce.weight, hidden), mid, dim=1)
        y_BCHW = F.relu(F.conv2d(y_BCHW, weight, leading(reduce.bias, hidden)), inplace=True)
        weight = leading(leading(expand.weight, mid), hidden, dim=1)
        y_BCHW = F.conv2d(y_BCHW, weight, leading(expand.bias, mid))
        return x_BCHW * F.hardsigmoid(y_BCHW)
