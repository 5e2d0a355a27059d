"""`BlockSpec`: one block with all that changes its latency."""

from __future__ import annotations

import dataclasses
import functools


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """One block with all that changes its latency.

    `kind` is the name of its family, which defines its layers. `input_size` is the height and width of the square input
    in pixels, `mid_channels` the number of hidden channels (0 where there are none). With `has_skip` the input is added
    to the output. `attributes` are the family's further choices, by name, and how its
    convolutions pad.
    """

    kind: str
    input_size: int
    in_channels: int
    mid_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    activation: str
    use_se: bool
    has_skip: bool
    attributes: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        # JSON gives back lists, which would not be hashable.
        object.__setattr__(self, "attributes", tuple((name, value) for name, value in self.attributes))

    @functools.cached_property
    def output_size(self) -> int:
        """The height and width of the output in pixels."""
        # At the top it would be circular: families import this file.
        from ofa_hw.families.registry import block_graph

        return block_graph(self).target.size

    def attribute(self, name: str) -> float:
        """Return a further choice of the family; 0 where the block does not have it."""
        return dict(self.attributes).get(name, 0)

    @functools.cached_property
    def key(self) -> str:
        """A readable name that spells out every field; unique for each block."""
        flags = ("-se" if self.use_se else "") + ("-skip" if self.has_skip else "")
        further = "".join(f"-{name}{value:g}" for name, value in self.attributes)
        return (
            f"{self.kind}-r{self.input_size}-i{self.in_channels}-m{self.mid_channels}-o{self.out_channels}"
            f"-k{self.kernel_size}-s{self.stride}-{self.activation}{flags}{further}"
        )
