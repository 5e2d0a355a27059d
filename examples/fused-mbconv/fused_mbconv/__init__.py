"""Fused inverted residuals (EfficientNetV2, arXiv 2104.00298, section 3.2) as a family of blocks for ofa-hw."""

from __future__ import annotations

import dataclasses

from ofa_hw.families import BlockSpec, Family, GraphBuilder
from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE


class FusedInvertedResidualFamily(Family):
    """k x k convolution to the hidden channels, batch norm, activation; 1x1 back, batch norm; the sum with the input.

    The full convolution stands in the place of an inverted residual's 1x1 and depthwise convolutions: more MACs, and
    less time where a device is slow at depthwise ones.
    """

    name = "fused-mbconv"
    # A full convolution has no transform from a larger kernel to a smaller one, so a stage has one size.
    choices = (dataclasses.replace(KERNEL_SIZE, is_elastic=False), EXPAND_RATIO)

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append both convolutions, and the sum with the input where there is a shortcut."""
        graph.conv(
            "conv_exp",
            spec.mid_channels,
            "hidden",  # follows the expand ratio, and is sorted by importance before widths open
            kernel_size=spec.kernel_size,
            stride=spec.stride,
            norm="bn_exp",
            activation=spec.activation,
        )
        graph.conv("conv_pwl", spec.out_channels, "output", norm="bn_pwl")
        if spec.has_skip:
            graph.add(graph.source)


FAMILY = FusedInvertedResidualFamily()
