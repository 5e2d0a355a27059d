"""The head of MobileNetV4: batch norm behind the mix of the means."""

from __future__ import annotations

from ofa_hw.families.head import HeadFamily


class NormedHeadFamily(HeadFamily):
    """1x1 to `mid_channels`, batch norm, activation; global mean; 1x1 to `out_channels`, batch norm, activation."""

    name = "normed_head"
    mix_norm = "bn_mix"


FAMILY = NormedHeadFamily()
