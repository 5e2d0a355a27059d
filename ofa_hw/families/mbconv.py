"""Inverted residuals: the blocks of MobileNetV2 and V3, ProxylessNAS, MnasNet (arXiv 1801.04381, 1905.02244)."""

from __future__ import annotations

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE
from ofa_hw.families.dsconv import PUBLISHED_NAMES, DepthwiseSeparableFamily, build_separable
from ofa_hw.families.family import PublishedName
from ofa_hw.families.graph import HIDDEN, GraphBuilder, make_divisible
from ofa_hw.families.spec import BlockSpec


class InvertedResidualFamily(DepthwiseSeparableFamily):
    """1x1 to `mid_channels`, batch norm, activation; then a depthwise-separable convolution, gated if `use_se`."""

    name = "mbconv"
    choices = (KERNEL_SIZE, EXPAND_RATIO)
    can_squeeze = True
    published_names = (
        PublishedName(r"(?:conv\.)?inverted_bottleneck\.conv\.(.+)", r"conv_pw.\1"),
        PublishedName(r"(?:conv\.)?inverted_bottleneck\.bn\.(.+)", r"bn_pw.\1"),
        *PUBLISHED_NAMES,
    )

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the expansion, the depthwise convolution, the gate, the projection."""
        graph.conv("conv_pw", spec.mid_channels, HIDDEN, norm="bn_pw", activation=spec.activation)
        build_separable(graph, spec, choice="kernel_size")

    def hidden_channels(self, in_channels: int, out_channels: int, expand_ratio: float) -> int:
        """Return the input's channels times the ratio, made divisible by 8."""
        return make_divisible(round(in_channels * expand_ratio))


FAMILY = InvertedResidualFamily()
