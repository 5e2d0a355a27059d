"""The head of MobileNets: features, their global mean and, where the space has it, a mix of the means."""

from __future__ import annotations

from collections.abc import Sequence

from ofa_hw.families.family import Family
from ofa_hw.families.graph import HIDDEN, OUTPUT, GraphBuilder
from ofa_hw.families.spec import BlockSpec


class HeadFamily(Family):
    """1x1 to `mid_channels`, batch norm, activation; global mean; 1x1 to `out_channels`, activation.

    With `mid_channels` 0: 1x1 to `out_channels`, batch norm, activation; global mean.
    """

    name = "head"
    choices = ()
    can_skip = False

    mix_norm = ""
    """The batch norm behind the mix; "" for none."""

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append both convolutions and the mean between them."""
        has_mix = spec.mid_channels > 0
        channels, dim = (spec.mid_channels, HIDDEN) if has_mix else (spec.out_channels, OUTPUT)
        graph.conv("conv", channels, dim, norm="bn", activation=spec.activation)
        graph.mean()
        if has_mix:
            graph.conv("mix", spec.out_channels, OUTPUT, norm=self.mix_norm, activation=spec.activation)

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return the keys of the parts; only some tables have the pooling as one of its own."""
        width = spec.mid_channels or spec.out_channels
        pixels = f"{spec.input_size}x{spec.input_size}"
        parts = [[f"Conv_1-input:{pixels}x{spec.in_channels}-output:{pixels}x{width}"]]
        pool = f"AvgPool2D-input:{pixels}x{width}-output:1x1x{width}"
        if pool in known:
            parts.append([pool])
        if spec.mid_channels:
            parts.append([f"Conv_2-input:1x1x{width}-output:1x1x{spec.out_channels}"])
        return parts


FAMILY = HeadFamily()
