"""Universal inverted bottlenecks: the blocks of MobileNetV4 (arXiv 2404.10518, section 3)."""

from __future__ import annotations

from collections.abc import Mapping

from ofa_hw.families.choice import EXPAND_RATIO, NONE, Choice
from ofa_hw.families.family import Family, Values
from ofa_hw.families.graph import HIDDEN, OUTPUT, GraphBuilder
from ofa_hw.families.spec import BlockSpec

START, MIDDLE = "start_kernel_size", "kernel_size"


class UniversalInvertedBottleneckFamily(Family):
    """An inverted residual with two depthwise convolutions, each of which may be left out (kernel size 0).

    Depthwise `start_kernel_size`, batch norm; 1x1 to `mid_channels`, batch norm, activation; depthwise `kernel_size`,
    batch norm, activation; 1x1 to `out_channels`, batch norm; the sum with the input, with `has_skip`. With only the
    middle convolution it is an inverted residual, with only the first a ConvNext-like block, with both an
    extra-depthwise block, with neither a feed-forward network. The middle convolution has the stride, so that a block
    with a stride must have one. Layers have timm's names.
    """

    name = "uib"
    choices = (
        Choice(name=START, is_kernel=True, can_be_none=True),
        Choice(name=MIDDLE, is_kernel=True, can_be_none=True),
        EXPAND_RATIO,
    )

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the convolutions that there are, and the sum with the input."""
        start = int(spec.attribute(START))
        if start != NONE:
            graph.depthwise("dw_start.conv", start, norm="dw_start.bn", choice=START)
        graph.conv("pw_exp.conv", spec.mid_channels, HIDDEN, norm="pw_exp.bn", activation=spec.activation)
        if spec.kernel_size != NONE:
            graph.depthwise(
                "dw_mid.conv",
                spec.kernel_size,
                stride=spec.stride,
                norm="dw_mid.bn",
                activation=spec.activation,
                choice=MIDDLE,
            )
        graph.conv("pw_proj.conv", spec.out_channels, OUTPUT, norm="pw_proj.bn")
        if spec.has_skip:
            graph.add(graph.source)

    def choices_at(self, values: Mapping[str, Values], stride: int) -> dict[str, Values]:
        """Return the values, without a missing middle convolution where it has the stride."""
        if stride == 1:
            return dict(values)
        return {**values, MIDDLE: tuple(size for size in values[MIDDLE] if size != NONE)}


FAMILY = UniversalInvertedBottleneckFamily()
