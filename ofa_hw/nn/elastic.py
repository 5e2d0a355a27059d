"""The elastic block: one set of weights for every kernel size and width (arXiv 1908.09791, section 3.2)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.batch_norm import make_norms_elastic
from ofa_hw.nn.depthwise import depthwise_conv
from ofa_hw.nn.layers import SqueezeExcite, leading
from ofa_hw.nn.mbconv import InvertedResidual


class ElasticInvertedResidual(InvertedResidual):
    """An inverted residual of the largest size that also acts as every smaller one.

    A width is the first channels of the hidden layers. A kernel is the centre of the next larger one, passed through
    a learnt linear map that all channels share and that starts as the identity: `transform_7to5` (25, 25), and so on.
    """

    def __init__(self, spec: BlockSpec, *, kernel_sizes: tuple[int, ...]) -> None:
        """Make the block whose largest form is `spec`; `kernel_sizes` rise and end with the kernel size of `spec`."""
        super().__init__(spec)
        make_norms_elastic(self)
        self.stride = spec.stride
        self.max_kernel_size = spec.kernel_size
        self.kernel_steps = tuple(itertools.pairwise(reversed(kernel_sizes)))
        for larger, smaller in self.kernel_steps:
            self.register_parameter(f"transform_{larger}to{smaller}", nn.Parameter(torch.eye(smaller**2)))

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        mid = spec.mid_channels
        y_BCHW = F.conv2d(x_BCHW, leading(self.conv_pw.weight, mid))
        y_BCHW = self.act(self.bn_pw(y_BCHW))
        weight_C1KK = self.depthwise_weight(mid, spec.kernel_size)
        y_BCHW = self.act(self.bn_dw(depthwise_conv(y_BCHW, weight_C1KK, self.stride)))
        if spec.use_se:
            y_BCHW = self._squeeze_excite(y_BCHW, spec)
        y_BCHW = self.bn_pwl(F.conv2d(y_BCHW, leading(self.conv_pwl.weight, mid, dim=1)))
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

    @torch.no_grad()
    def weights_at(self, spec: BlockSpec) -> dict[str, Tensor]:
        """Return copies of the weights that the static block `spec` has, by the names of its state dict."""
        mid, hidden = spec.mid_channels, spec.se_channels
        slices = {
            "conv_pw.weight": self.conv_pw.weight[:mid],
            "conv_dw.weight": self.depthwise_weight(mid, spec.kernel_size),
            "conv_pwl.weight": self.conv_pwl.weight[:, :mid],
        }
        if isinstance(self.se, SqueezeExcite):
            slices["se.conv_reduce.weight"] = self.se.conv_reduce.weight[:hidden, :mid]
            slices["se.conv_reduce.bias"] = self.se.conv_reduce.bias[:hidden]
            slices["se.conv_expand.weight"] = self.se.conv_expand.weight[:mid, :hidden]
            slices["se.conv_expand.bias"] = self.se.conv_expand.bias[:mid]
        for name, channels in (("bn_pw", mid), ("bn_dw", mid), ("bn_pwl", spec.out_channels)):
            norm = getattr(self, name)
            for key, tensor in itertools.chain(norm._parameters.items(), norm._buffers.items()):
                slices[f"{name}.{key}"] = tensor[:channels] if tensor.ndim else tensor
        return {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in slices.items()}

    def sort_channels(self, bounds: tuple[int, ...]) -> None:
        """Order the hidden channels, in place, by falling importance within each band of `bounds`.

        Importance is the L1 norm of what a channel gives to `conv_pwl`. `bounds` are rising channel counts that end
        with all channels: (40, 60, 80) sorts channels 0-39, 40-59 and 60-79 each on their own. Squeeze-and-excite's
        hidden units are then sorted by what they give to its expansion. The largest form computes the same as before.
        """
        importance = self.conv_pwl.weight.detach().abs().sum((0, 2, 3))
        order = _order_in_bands(importance, bounds)
        with torch.no_grad():
            _permute(self.conv_pwl.weight, order, dim=1)
            for tensor in (
                self.conv_pw.weight,
                self.conv_dw.weight,
                *_channel_tensors(self.bn_pw),
                *_channel_tensors(self.bn_dw),
            ):
                _permute(tensor, order)
            if isinstance(self.se, SqueezeExcite):
                reduce, expand = self.se.conv_reduce, self.se.conv_expand
                _permute(reduce.weight, order, dim=1)
                _permute(expand.weight, order)
                _permute(expand.bias, order)
                hidden_order = _order_in_bands(expand.weight.abs().sum((0, 2, 3)), (expand.in_channels,))
                _permute(expand.weight, hidden_order, dim=1)
                _permute(reduce.weight, hidden_order)
                _permute(reduce.bias, hidden_order)

    def _squeeze_excite(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        mid, hidden = spec.mid_channels, spec.se_channels
        reduce, expand = self.se.conv_reduce, self.se.conv_expand
        y_BCHW = x_BCHW.mean((2, 3), keepdim=True)
        weight = leading(leading(reduce.weight, hidden), mid, dim=1)
        y_BCHW = F.relu(F.conv2d(y_BCHW, weight, leading(reduce.bias, hidden)), inplace=True)
        weight = leading(leading(expand.weight, mid), hidden, dim=1)
        y_BCHW = F.conv2d(y_BCHW, weight, leading(expand.bias, mid))
        return x_BCHW * F.hardsigmoid(y_BCHW)


def _channel_tensors(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


def _order_in_bands(importance: Tensor, bounds: tuple[int, ...]) -> Tensor:
    starts = (0, *bounds[:-1])
    bands = [
        start + torch.argsort(importance[start:end], descending=True, stable=True)
        for start, end in zip(starts, bounds, strict=True)
    ]
    return torch.cat(bands)


def _permute(tensor: Tensor, order: Tensor, *, dim: int = 0) -> None:
    tensor.data.copy_(tensor.data.index_select(dim, order))
