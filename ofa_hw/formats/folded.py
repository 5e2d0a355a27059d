"""`FoldedBlock`: a block's weights as plain arrays, batch norm folded in, from which model files are written."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ofa_hw.blocks import BlockSpec, block_graph
from ofa_hw.errors import InvalidInputError
from ofa_hw.families.graph import Add, reads

Weights = Mapping[str, npt.NDArray[np.float32]]


def weight_shapes(spec: BlockSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every array of a folded block, in the order of its layers.

    Convolutions are (out, in, height, width), depthwise ones (channels, 1, height, width), linear layers (out, in).
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in block_graph(spec).layers:
        shapes[f"{layer.name}.weight"] = layer.weight_shape
        if layer.norm or layer.has_bias:
            shapes[f"{layer.name}.bias"] = (layer.out_channels,)
    return shapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldedBlock:
    """A block and its float32 weights, named and shaped as `weight_shapes(spec)` says.

    Raises:
        InvalidInputError: a name or a shape is another.
    """

    spec: BlockSpec
    weights: Weights

    def __post_init__(self) -> None:
        expected = weight_shapes(self.spec)
        found = {name: array.shape for name, array in self.weights.items()}
        if found != expected:
            raise InvalidInputError(f"weights of {self.spec.key} must be {expected}; came {found}")


@functools.cache
def _normal_values() -> npt.NDArray[np.float32]:
    """Return normal values; their number is prime, so that repeating them makes no two rows of a weight equal."""
    return np.random.default_rng(0).standard_normal(65521, np.float32)


def random_block(spec: BlockSpec, *, seed: int = 0) -> FoldedBlock:
    """Return a block with random weights, which takes as long as a trained one: none of its values are denormal.

    Weights are normal with He's scale, halved where their output is added to another, so that values neither vanish nor
    grow in a network of such blocks. The same `spec` and `seed` give the same weights, in every process.
    """
    # Not by hash(), which differs between processes. Rolling one array is far quicker than drawing a new one.
    digest = hashlib.sha256(f"{seed} {spec.key}".encode()).digest()
    values = np.roll(_normal_values(), int.from_bytes(digest[:8], "little") % 65521)
    weights, graph = {}, block_graph(spec)
    summed = {value for operation in graph.operations if isinstance(operation, Add) for value in reads(operation)}
    halved = {f"{layer.name}.weight" for layer in graph.layers if layer.target in summed and layer.activation == "none"}
    for name, shape in weight_shapes(spec).items():
        # A bias has no inputs to count; 100 keeps it small beside the sums that it is added to.
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
        gain = 0.5 if name in halved else 1.0
        weights[name] = np.resize(values * np.float32(gain * (2 / fan_in) ** 0.5), shape)
        values = np.roll(values, 1009)
    return FoldedBlock(spec=spec, weights=weights)
