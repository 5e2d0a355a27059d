"""The elastic block: a module of the largest size that also acts as every smaller block of its position.

A smaller width is the first channels of a layer. A smaller kernel is the centre of the next larger one, passed through
a learnt linear map that all channels share and that starts as the identity (arXiv 1908.09791, section 3.3). Which block
to act as is an argument of `forward`, not a state of the module.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.families import BlockSpec, Layer, block_graph
from ofa_hw.families.choice import NONE
from ofa_hw.families.graph import HIDDEN, Add
from ofa_hw.nn.batch_norm import ElasticBatchNorm2d
from ofa_hw.nn.block import Block, run_graph
from ofa_hw.nn.channel_order import channel_tensors, order_in_bands, permute
from ofa_hw.nn.depthwise import depthwise_conv
from ofa_hw.nn.layers import activate, leading, pad_same


class ElasticBlock(Block):
    """All blocks of one position in one set of weights; `forward` takes the input and the block to act as."""

    make_norm = ElasticBatchNorm2d

    def __init__(
        self,
        spec: BlockSpec,
        *,
        values: Mapping[str, tuple[float, ...]] | None = None,
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
    ) -> None:
        """Make the block whose largest form is `spec`; `values` lists those of each choice, from small to large."""
        super().__init__(spec, bn_eps=bn_eps, bn_momentum=bn_momentum)
        self.kernel_sizes = {
            layer.name: tuple(int(size) for size in (values or {}).get(layer.kernel_choice, (layer.kernel_size,)))
            for layer in block_graph(spec).layers
            if layer.kernel_choice
        }
        for layer in block_graph(spec).layers:
            for larger, smaller in self._steps(layer):
                matrix = nn.Parameter(torch.eye(smaller**2))
                self.register_parameter(_transform_name(layer, larger, smaller), matrix)

    def forward(self, x_BCHW: Tensor, spec: BlockSpec) -> Tensor:
        """Return what the static block `spec` with this block's weights returns."""
        return run_graph(block_graph(spec), x_BCHW, self.compute)

    def compute(self, layer: Layer, x: Tensor) -> Tensor:
        """Return the output of `layer`, a slice of this block's own, for `x`, with its batch norm and activation."""
        module, weight = self.named_part(layer.name), self.weight_of(layer)
        bias = leading(module.bias, layer.out_channels) if layer.has_bias else None
        margin = layer.kernel_size // 2
        if layer.is_same:
            x, margin = pad_same(x, layer.kernel_size, layer.stride)
        if layer.is_linear:
            y = F.linear(x.flatten(1), weight, bias)
        elif layer.is_depthwise:
            y = depthwise_conv(x, weight, layer.stride, margin)
        else:
            y = F.conv2d(x, weight, bias, layer.stride, margin)
        return activate(self.named_part(layer.norm)(y) if layer.norm else y, layer.activation)

    def weight_of(self, layer: Layer) -> Tensor:
        """Return the weight of `layer`: a slice of the largest, its kernel transformed where it is smaller."""
        weight = self.named_part(layer.name).weight
        num_out, num_in = layer.weight_shape[:2]
        weight = leading(leading(weight, num_out), num_in, dim=1)
        for larger, smaller in self._steps(layer):
            # The steps go down one size at a time: 5 from 7, then 3 from the 5 that came out.
            if larger <= layer.kernel_size:
                break
            matrix = self._parameters[_transform_name(layer, larger, smaller)]
            centre = _centre(weight, smaller).reshape(num_out, -1)
            weight = F.linear(centre, matrix).reshape(num_out, 1, smaller, smaller)
        return weight

    @torch.no_grad()
    def weights_at(self, spec: BlockSpec) -> dict[str, Tensor]:
        """Return copies of the weights that the static block `spec` has, by the names of its state dict."""
        slices: dict[str, Tensor] = {}
        for layer in block_graph(spec).layers:
            weight, channels = self.weight_of(layer), layer.out_channels
            slices[f"{layer.name}.weight"] = weight.clone(memory_format=torch.contiguous_format)
            if layer.has_bias:
                slices[f"{layer.name}.bias"] = self.named_part(layer.name).bias[:channels].clone()
            if layer.norm:
                norm = self.named_part(layer.norm)
                for key, tensor in itertools.chain(norm._parameters.items(), norm._buffers.items()):
                    slices[f"{layer.norm}.{key}"] = (tensor[:channels] if tensor.ndim else tensor).clone()
        return slices

    @torch.no_grad()
    def start_alike(self) -> None:
        """Change the new weights, in place, so that every kernel size and depth computes the same.

        A kernel is 0 outside the centre of the smallest size, and the centre is scaled to the fan-out of that size. A
        layer that may be left out begins as the identity. A block with a shortcut begins as the shortcut alone: the
        scale of the batch norm that ends its main path is 0.
        """
        graph = block_graph(self.spec)
        for layer in graph.layers:
            sizes = self.kernel_sizes.get(layer.name, ())
            weight = self.named_part(layer.name).weight
            if NONE in sizes:
                nn.init.dirac_(weight, groups=len(weight))
            elif len(sizes) > 1:
                centre = _centre(weight, sizes[0]).clone()
                weight.zero_()
                # He's standard deviation goes with 1 / kernel size.
                _centre(weight, sizes[0]).copy_(centre * sizes[-1] / sizes[0])
        ends = {
            value.name
            for operation in graph.operations
            if isinstance(operation, Add) and operation.source == graph.source
            for value in (operation.other,)
        }
        for layer in graph.layers:
            # With an activation behind it, a scale of 0 would leave no gradient.
            if layer.target.name in ends and layer.norm and layer.activation == "none":
                self.named_part(layer.norm).weight.zero_()

    @torch.no_grad()
    def sort_channels(self, bounds: tuple[int, ...]) -> None:
        """Order the hidden channels, in place, by falling importance within each band of `bounds`.

        Importance is the L1 norm of the weights by which the last layer that reads a channel reads it. `bounds` are
        rising channel counts that end with all channels: (40, 60, 80) sorts channels 0-39, 40-59 and 60-79 each on
        their own. The channels inside squeeze-and-excite are sorted as a whole. The largest form computes the same as
        before.
        """
        graph = block_graph(self.spec)
        for dim in graph.sortable_dims:
            readers = [layer for layer in graph.layers if layer.source.dim == dim and not layer.is_depthwise]
            importance = self.named_part(readers[-1].name).weight.abs().sum((0, 2, 3))
            order = order_in_bands(importance, bounds if dim.startswith(HIDDEN) else (len(importance),))
            # Kernel transforms are shared by all channels, so that they need no new order.
            for layer in readers:
                permute(self.named_part(layer.name).weight, order, dim=1)
            for layer in graph.layers:
                if layer.target.dim == dim:
                    module = self.named_part(layer.name)
                    norms = channel_tensors(self.named_part(layer.norm)) if layer.norm else ()
                    for tensor in (module.weight, *norms, *([module.bias] if layer.has_bias else [])):
                        permute(tensor, order)

    def _steps(self, layer: Layer) -> list[tuple[int, int]]:
        """Return each kernel size of a layer with the next smaller one that has weights, from the largest."""
        sizes = [size for size in self.kernel_sizes.get(layer.name, ()) if size != NONE]
        return list(itertools.pairwise(reversed(sizes)))


def _transform_name(layer: Layer, larger: int, smaller: int) -> str:
    """Return the parameter's name: `transform_7to5`, behind `start_` where the choice is `start_kernel_size`."""
    return f"{layer.kernel_choice.removesuffix('kernel_size')}transform_{larger}to{smaller}"


def _centre(weight_OIKK: Tensor, size: int) -> Tensor:
    margin = (weight_OIKK.shape[-1] - size) // 2
    return weight_OIKK[..., margin : margin + size, margin : margin + size]
