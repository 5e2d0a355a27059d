"""`StageSpec`: what the blocks of one stage have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ofa_hw.families.registry import STAGE

Values = tuple[float, ...]

LISTED = ("kernel_sizes", "expand_ratios")
"""The choices that a space lists for all its stages; the values of all others are listed by the stages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One unit: its blocks are of one family and share `out_channels`; the first has `stride`, the rest stride 1.

    `out_channels` is counted before the space's width multiplier. `depths`, `kernel_sizes` and `expand_ratios`
    replace the space's where given; `choices` holds the values of the family's further choices, by their plural names.
    A block whose input and output have the same shape adds its input, if its family can and `use_skip` is true.
    """

    out_channels: int
    stride: int
    activation: str
    use_se: bool = False
    use_skip: bool = True
    kind: str = STAGE
    depths: tuple[int, ...] | None = None
    kernel_sizes: tuple[int, ...] | None = None
    expand_ratios: Values | None = None
    choices: tuple[tuple[str, Values], ...] = ()

    def listed(self, plural: str) -> Values | None:
        """Return the values that this stage lists for a choice; None where it leaves them to the space."""
        return getattr(self, plural) if plural in LISTED else dict(self.choices).get(plural)

    def with_values(self, values: Mapping[str, Values]) -> StageSpec:
        """Return the stage with other values for the choices of these plural names."""
        own: dict[str, Any] = {name: value for name, value in values.items() if name in LISTED}
        further = dict(self.choices) | {name: value for name, value in values.items() if name not in LISTED}
        return dataclasses.replace(self, **own, choices=tuple(further.items()))
