"""Plain convolutions: the stem, and the first blocks of a ResNet."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE
from ofa_hw.families.family import Family, PublishedName
from ofa_hw.families.graph import OUTPUT, GraphBuilder
from ofa_hw.families.spec import BlockSpec


class ConvFamily(Family):
    """k x k convolution, batch norm, activation; then the sum with the input, with `has_skip`."""

    name = "conv"
    # Kernel transforms are for depthwise convolutions, so a full one has one kernel size; it has no hidden channels.
    choices = (dataclasses.replace(KERNEL_SIZE, is_elastic=False), dataclasses.replace(EXPAND_RATIO, fixed=1))
    takes_images = True
    published_part = "input_stem"
    published_names = (PublishedName(r"(?:conv\.)?(conv|bn)\.(\w+)", r"\1.\2"),)

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the convolution."""
        shortcut = graph.value
        graph.conv(
            "conv",
            spec.out_channels,
            OUTPUT,
            kernel_size=spec.kernel_size,
            stride=spec.stride,
            norm="bn",
            activation=spec.activation,
        )
        if spec.has_skip:
            graph.add(shortcut)

    def hidden_channels(self, in_channels: int, out_channels: int, expand_ratio: float) -> int:
        """Return 0: there are none."""
        return 0

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return the key of a stem."""
        source, target = f"{spec.input_size}x{spec.input_size}", f"{spec.output_size}x{spec.output_size}"
        return [[f"Conv-input:{source}x{spec.in_channels}-output:{target}x{spec.out_channels}"]]


FAMILY = ConvFamily()
