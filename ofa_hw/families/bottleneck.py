"""The block of ResNets: three convolutions beside a shortcut (ResNet-D, arXiv 1812.01187, section 4)."""

from __future__ import annotations

import dataclasses

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE
from ofa_hw.families.family import Family, PublishedName
from ofa_hw.families.graph import HIDDEN, OUTPUT, GraphBuilder, MeanPool, make_divisible
from ofa_hw.families.spec import BlockSpec


class BottleneckFamily(Family):
    """1x1, k x k and 1x1 convolution, each with batch norm; the sum with the shortcut, activation.

    The shortcut is the input with `has_skip`. Else it is a 1x1 convolution with batch norm, behind the mean over
    `stride` by `stride` pixels, since a strided 1x1 convolution would ignore most pixels.
    """

    name = "bottleneck"
    choices = (dataclasses.replace(KERNEL_SIZE, is_elastic=False), EXPAND_RATIO)
    published_names = (
        PublishedName(r"conv([123])\.conv\.(.+)", r"conv\1.\2"),
        PublishedName(r"conv([123])\.bn\.(.+)", r"bn\1.\2"),
        PublishedName(r"downsample\.conv\.(.+)", r"conv_shortcut.\1"),
        PublishedName(r"downsample\.bn\.(.+)", r"bn_shortcut.\1"),
    )

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the main path, the shortcut, their sum."""
        shortcut = graph.source
        graph.conv("conv1", spec.mid_channels, HIDDEN, norm="bn1", activation=spec.activation)
        graph.conv(
            "conv2",
            spec.mid_channels,
            f"{HIDDEN}2",
            kernel_size=spec.kernel_size,
            stride=spec.stride,
            norm="bn2",
            activation=spec.activation,
        )
        graph.conv("conv3", spec.out_channels, OUTPUT, norm="bn3")
        if not spec.has_skip:
            # The builder appends to `graph.value`: back to the input for the shortcut, then to the main path again.
            main, graph.value = graph.value, shortcut
            if spec.stride > 1:
                graph.pool(MeanPool, "mean", spec.stride)
            graph.conv("conv_shortcut", spec.out_channels, OUTPUT, norm="bn_shortcut")
            shortcut, graph.value = graph.value, main
        graph.add(shortcut, spec.activation)

    def hidden_channels(self, in_channels: int, out_channels: int, expand_ratio: float) -> int:
        """Return the output's channels times the ratio, made divisible by 8."""
        return make_divisible(round(out_channels * expand_ratio))


FAMILY = BottleneckFamily()
