"""`Family`: what each file of this folder defines for its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE, Choice
from ofa_hw.families.graph import ACTIVATIONS, GraphBuilder, make_divisible
from ofa_hw.families.spec import BlockSpec

Values = tuple[float, ...]


class PublishedName(NamedTuple):
    """A regular expression for once-for-all's names of the weights of a block, and our name for what it matches."""

    pattern: str
    ours: str


class Family:
    """Blocks of one kind. A subclass gives `name` and `build`, and overrides what differs from the defaults here.

    `choices` are what every block can choose. `can_squeeze` says whether `use_se` has an effect, `can_skip` whether a
    block adds its input if input and output have the same shape, `takes_images` whether it may read the image,
    `activations` which activations its operations allow.
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
        """Return those of the `values` of each choice that a block of this stride can have."""
        return dict(values)

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return the keys that each part of a block may have in once-for-all's and ProxylessNAS' tables.

        `known` are the keys of the table at hand. A family that these tables do not contain has one part without keys.
        """
        return [[]]

    def faults(self, values: Mapping[str, Values], *, stride: int) -> list[str]:
        """Return why no block of this stride can have these values of its choices; [] where one can."""
        left = self.choices_at(values, stride)
        return [f"{name}s must hold one that a block of stride {stride} can have" for name in left if not left[name]]
