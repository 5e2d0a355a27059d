"""Depthwise-separable convolutions: the static block behind the stem of MobileNets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE
from ofa_hw.families.family import Family, PublishedName
from ofa_hw.families.graph import OUTPUT, GraphBuilder, make_divisible
from ofa_hw.families.spec import BlockSpec

PUBLISHED_NAMES = (
    PublishedName(r"(?:conv\.)?depth_conv\.conv\.(\d+to\d+)_matrix", r"transform_\1"),
    PublishedName(r"(?:conv\.)?depth_conv\.conv\.(.+)", r"conv_dw.\1"),
    PublishedName(r"(?:conv\.)?depth_conv\.bn\.(.+)", r"bn_dw.\1"),
    PublishedName(r"(?:conv\.)?depth_conv\.se\.fc\.(reduce|expand)\.(.+)", r"se.conv_\1.\2"),
    PublishedName(r"(?:conv\.)?point_linear\.conv\.(.+)", r"conv_pwl.\1"),
    PublishedName(r"(?:conv\.)?point_linear\.bn\.(.+)", r"bn_pwl.\1"),
)


class DepthwiseSeparableFamily(Family):
    """Depthwise k x k, batch norm, activation; 1x1 to `out_channels`, batch norm (timm's DepthwiseSeparableConv)."""

    name = "dsconv"
    choices = (dataclasses.replace(KERNEL_SIZE, is_elastic=False), dataclasses.replace(EXPAND_RATIO, fixed=1))
    published_names: tuple[PublishedName, ...] = PUBLISHED_NAMES

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append both convolutions, and the sum with the input where there is a shortcut."""
        build_separable(graph, spec, choice="")

    def hidden_channels(self, in_channels: int, out_channels: int, expand_ratio: float) -> int:
        """Return the channels of the input, on which the depthwise convolution works."""
        return in_channels

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return the keys of an inverted residual with these sizes."""
        source = f"{spec.input_size}x{spec.input_size}x{spec.in_channels}"
        target = f"{spec.output_size}x{spec.output_size}x{spec.out_channels}"
        flags = f"-kernel:{spec.kernel_size}-stride:{spec.stride}-idskip:{int(spec.has_skip)}"
        gates = f"-se:{int(spec.use_se)}-hs:{int(spec.activation == 'h_swish')}"
        block = f"expanded_conv-input:{source}-output:{target}-expand:"
        ratio = spec.mid_channels / spec.in_channels
        # once-for-all writes channels, gates and activations; ProxylessNAS writes ratios and has neither of the others.
        keys = [f"{block}{spec.mid_channels}{flags}{gates}"]
        if not spec.use_se and spec.activation == "relu6" and ratio.is_integer():
            keys.append(f"{block}{int(ratio)}{flags}")
        return [keys]


def build_separable(graph: GraphBuilder, spec: BlockSpec, *, choice: str) -> None:
    """Append a depthwise convolution whose kernel follows `choice`, a gate if `use_se`, a linear 1x1 convolution."""
    shortcut = graph.source
    graph.depthwise(
        "conv_dw", spec.kernel_size, stride=spec.stride, norm="bn_dw", activation=spec.activation, choice=choice
    )
    if spec.use_se:
        # MobileNetV3 squeezes to a quarter of the hidden channels (arXiv 1905.02244, section 5.3).
        graph.squeeze_excite("se", make_divisible(spec.mid_channels // 4))
    graph.conv("conv_pwl", spec.out_channels, OUTPUT, norm="bn_pwl")
    if spec.has_skip:
        graph.add(shortcut)


FAMILY = DepthwiseSeparableFamily()
