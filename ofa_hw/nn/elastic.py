"""Elastic blocks: modules of the largest size that also act as every smaller block of their kind.

A width is the first channels of a layer; which block to act as comes with the input, so that nothing is switched.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec, Layer, block_layers
from ofa_hw.nn.batch_norm import make_norms_elastic
from ofa_hw.nn.layers import leading
from ofa_hw.nn.mbconv import DepthwiseSeparable
from ofa_hw.nn.static import Classifier, ConvBnAct, Head, pooled_features


class ElasticBlock(nn.Module):
    """What elastic blocks have in common; each is also the static module of its kind.

    Its `forward` takes the block to act as beside the input.
    """

    def __init__(self, spec: BlockSpec) -> None:
        """Make the block whose largest form is `spec`."""
        super().__init__(spec)
        make_norms_elastic(self)
        self._named = dict(self.named_modules())

    @torch.no_grad()
    def weights_at(self, spec: BlockSpec) -> dict[str, Tensor]:
        """Return copies of the weights that the static block `spec` has, by the names of its state dict."""
        slices: dict[str, Tensor] = {}
        for layer in block_layers(spec):
            weight, channels = self.weight_of(layer), layer.out_channels
            slices[f"{layer.name}.weight"] = weight.clone(memory_format=torch.contiguous_format)
            if layer.has_bias:
                slices[f"{layer.name}.bias"] = self._named[layer.name].bias[:channels].clone()
            if layer.norm:
                norm = self._named[layer.norm]
                for key, tensor in itertools.chain(norm._parameters.items(), norm._buffers.items()):
                    slices[f"{layer.norm}.{key}"] = (tensor[:channels] if tensor.ndim else tensor).clone()
        return slices

    def weight_of(self, layer: Layer) -> Tensor:
        """Return the weight of `layer`, a slice of the largest."""
        num_out, num_in = layer.weight_shape[:2]
        return leading(leading(self._named[layer.name].weight, num_out), num_in, dim=1)

    def start_alike(self) -> None:
        """Change the new weights, in place, to such that the forms of the block compute as much alike as they can."""

    def sort_channels(self, bounds: tuple[int, ...]) -> None:
        """Order the hidden channels, in place, by falling importance within each band of `bounds`.

        `bounds` are rising channel counts that end with all channels: (40, 60, 80) sorts channels 0-39, 40-59 and
        60-79 each on their own. The largest form computes the same as before. A block without hidden channels stays.
        """


class ElasticConv(ElasticBlock, ConvBnAct):
    """Kinds `conv` and `conv_pool`, their input and output of any smaller width."""

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        weight = leading(leading(self.conv.weight, spec.out_channels), spec.in_channels, dim=1)
        y_BCHW = self.act(self.bn(F.conv2d(x_BCHW, weight, None, self.conv.stride, self.conv.padding)))
        return self.pooled(x_BCHW + y_BCHW if self.has_skip else y_BCHW)


class ElasticDepthwiseSeparable(ElasticBlock, DepthwiseSeparable):
    """Kind `dsconv`, which has one form."""

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block returns."""
        return DepthwiseSeparable.forward(self, x_BCHW)


class ElasticHead(ElasticBlock, Head):
    """Kind `head`, its input of any smaller width."""

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        y_BCHW = self.act(self.bn(F.conv2d(x_BCHW, leading(self.conv.weight, spec.in_channels, dim=1))))
        y_BCHW = y_BCHW.mean((2, 3), keepdim=True)
        return y_BCHW if self.mix is None else self.act(self.mix(y_BCHW))


class ElasticClassifier(ElasticBlock, Classifier):
    """Kind `classifier`, its input of any smaller width."""

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return the logits (n, out_channels)."""
        weight = leading(self.linear.weight, spec.in_channels, dim=1)
        return F.linear(pooled_features(x_BCHW), weight, self.linear.bias)
