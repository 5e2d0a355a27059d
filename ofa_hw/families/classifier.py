"""The last block: from features to the logits of the classes."""

from __future__ import annotations

from collections.abc import Sequence

from ofa_hw.families.family import Family
from ofa_hw.families.graph import GraphBuilder
from ofa_hw.families.spec import BlockSpec


class ClassifierFamily(Family):
    """The global mean of features that are larger than a pixel, and a linear layer."""

    name = "classifier"
    choices = ()
    can_skip = False

    def build(self, graph: GraphBuilder, spec: BlockSpec) -> None:
        """Append the mean, which leaves a single pixel as it is, and the linear layer."""
        graph.mean()
        graph.linear("linear", spec.out_channels)

    def table_keys(self, spec: BlockSpec, known: Sequence[str]) -> list[list[str]]:
        """Return the keys that end with the sizes of the layer: tables differ in how they write the input."""
        prefix, suffix = "Logits-input:", f"x{spec.in_channels}-output:{spec.out_channels}"
        return [[key for key in known if key.startswith(prefix) and key.endswith(suffix)]]


FAMILY = ClassifierFamily()
