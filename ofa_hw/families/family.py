"""`Family`: what a file of this folder tells of its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE, Choice
from ofa_hw.families.graph import ACTIVATIONS, GraphBuilder, make_divisible
from ofa_hw.families.spec import BlockSpec

Values = tuple[float, ...]


class PublishedName(NamedTuple):
    """A pattern of once-for-all's names for the weights of a block, and ours for what it matches."""

    pattern: str
    ours: str


class Family:
    """Blocks of one kind. A subclass gives `name` and `build`, and replaces what differs from an inverted residual.

    `choices` are made anew for each block. `can_squeeze` says whether `use_se` means anything, `can_skip` whether a
    block of equal shapes has its input added, `takes_images` whether it may stand at the image, `activations` which
    activations its operations allow.
    """

    name: str
    choices: tuple[Choice, ...] = (KERNEL_SIZE, EXPAND_RATIO)
    can_squeeze: bool = False
    can_skip: bool = True
    takes_images: bool = False
    activations: tuple[str, ...] = ACTIVATIONS

    published_part: str = "blocks"
    """What once-for-all's checkpoints call the part of a network that such blocks stand in."""
    published_names: tuple[PublishedName, ...] = ()

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the operations of the block `spec` to a graph that stands at the block's input."""
        raise NotImplementedError

    def hidden_channels(self, in_channels: int, out_channels: int, expand_ratio: float) -> int:
        """Return the hidden channels of a block; 0 where there are none."""
        return make_divisible(round(in_channels * expand_ratio))

    def choices_at(self, values: Mapping[str, Values], stride: int) -> dict[str, Values]:
        """Return what of the `values` of each choice a block of this stride can have."""
        return dict(values)

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return for each part of a block the keys that it may have in once-for-all's and ProxylessNAS' tables.

        `known` are the keys of the table at hand. A family that they do not time has a part without keys.
        """
        return [[]]

    def faults(self, values: Mapping[str, Values], *, stride: int) -> list[str]:
        """Return in words why no block of this stride has these values of its choices."""
        left = self.choices_at(values, stride)
        return [f"{name}s must hold one that a block of stride {stride} can have" for name in left if not left[name]]
