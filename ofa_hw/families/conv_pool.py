"""A convolution with max pooling behind it, as ResNets begin."""

from __future__ import annotations

from collections.abc import Sequence

from ofa_hw.families.conv import ConvFamily
from ofa_hw.families.graph import OUTPUT, GraphBuilder, MaxPool
from ofa_hw.families.spec import BlockSpec


class ConvPoolFamily(ConvFamily):
    """k x k convolution of stride 1, batch norm, activation; 3x3 max pooling with `stride`."""

    name = "conv_pool"
    can_skip = False
    activations = ("relu", "relu6")  # its pooling pads with zeros, which h-swish can be below

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the convolution and the pooling."""
        graph.conv(
            "conv", spec.out_channels, OUTPUT, kernel_size=spec.kernel_size, norm="bn", activation=spec.activation
        )
        graph.pool(MaxPool, "pool", spec.stride)

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return a part without keys: the published tables are of MobileNets."""
        return [[]]


FAMILY = ConvPoolFamily()
