"""Blocks as the few operations that every runtime has, from which model files and the torch reference are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.families import Layer, block_graph
from ofa_hw.families.graph import Add, GlobalMean, HardSigmoid, MaxPool, MeanPool, Multiply, Value, margins
from ofa_hw.formats.folded import FoldedBlock

__all__ = [
    "Add",
    "Conv",
    "GlobalMean",
    "Graph",
    "HardSigmoid",
    "HardSwish",
    "Linear",
    "MaxPool",
    "MeanPool",
    "Multiply",
    "Normalisation",
    "Operation",
    "Value",
    "lower",
]

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution, padded by half its kernel on every side or as SAME; then `activation`: none, relu or relu6.

    `weight` is (out, in, k, k), of a depthwise one (channels, 1, k, k).
    """

    source: Value
    target: Value
    weight: Floats
    bias: Floats
    stride: int
    is_depthwise: bool
    activation: str
    is_same: bool = False

    @property
    def margins(self) -> tuple[int, int]:
        """The zeros before and behind the input."""
        return margins(self.kernel_size, self.stride, self.source.size, is_same=self.is_same)

    @property
    def kernel_size(self) -> int:
        """The height and width of the kernel."""
        return int(self.weight.shape[2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardSwish:
    """x relu6(x + 3) / 6."""

    source: Value
    target: Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear layer on a vector; `weight` is (out, in)."""

    source: Value
    target: Value
    weight: Floats
    bias: Floats


Operation = Conv | HardSwish | HardSigmoid | GlobalMean | MaxPool | MeanPool | Multiply | Add | Linear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalisation:
    """The mean and standard deviation of each channel, on the scale 0 to 1, by which training normalised images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """Operations in the order of their execution, from the value `source` to the value `target`.

    With `takes_pixels` the source holds uint8 pixels, which a writer must convert to its own type first.
    """

    source: Value
    target: Value
    operations: tuple[Operation, ...]
    takes_pixels: bool = False


def lower(blocks: Sequence[FoldedBlock], normalisation: Normalisation | None = None) -> Graph:
    """Return the operations of `blocks`, one after the other: of one block, of several or of a whole network.

    With `normalisation` the graph takes uint8 pixels and normalises them itself.

    Raises:
        InvalidInputError: there is no block, or one does not fit the output of the block before it.
    """
    if not blocks:
        raise InvalidInputError("a model must have at least one block; came none")
    first = blocks[0].spec
    source = Value(name="input", size=first.input_size, channels=first.in_channels)
    lowering = _Lowering(source)
    if normalisation is not None:
        source = source._replace(name="pixels")
        lowering.operations.append(_normalising(source, lowering.value, normalisation))
    for index, block in enumerate(blocks):
        lowering.append(f"{index}", block)
    operations = tuple(lowering.operations)
    return Graph(source=source, target=lowering.value, operations=operations, takes_pixels=normalisation is not None)


def _normalising(source: Value, target: Value, normalisation: Normalisation) -> Conv:
    """Return the layer from pixels to `target`: depthwise, of kernel 1, so that no padded 0 is normalised."""
    mean, std = np.array(normalisation.mean), np.array(normalisation.std)
    if mean.shape != (target.channels,) or std.shape != mean.shape or not (std > 0).all():
        raise InvalidInputError(
            f"normalisation must have a mean and a positive std for each of {target.channels} channels; "
            f"came {normalisation}"
        )
    return Conv(
        source=source,
        target=target,
        # (pixel / 255 - mean) / std
        weight=(1 / (255 * std)).astype(np.float32).reshape(-1, 1, 1, 1),
        bias=(-mean / std).astype(np.float32),
        stride=1,
        is_depthwise=True,
        activation="none",
    )


class _Lowering:
    """Grows a list of operations; `value` is the output of the last one."""

    def __init__(self, source: Value) -> None:
        self.operations: list[Operation] = []
        self.value = source

    def append(self, prefix: str, block: FoldedBlock) -> None:
        """Append the operations of a block; the names of its values begin with `prefix`."""
        spec, graph = block.spec, block_graph(block.spec)
        if (self.value.size, self.value.channels) != (spec.input_size, spec.in_channels):
            raise InvalidInputError(
                f"{spec.key} must get {spec.in_channels} channels of {spec.input_size} px; "
                f"came {self.value.channels} of {self.value.size} px from the block before it"
            )
        values = {graph.source: self.value}
        for operation in graph.operations:
            source = values[operation.source]
            target = operation.target._replace(name=f"{prefix}.{operation.target.name}")
            if isinstance(operation, GlobalMean) and source.size == 1:
                target = source  # the mean of a pixel is the pixel
            elif isinstance(operation, Layer):
                self._append_layer(operation, block, source, target)
            elif isinstance(operation, Add):
                other = values[operation.other]
                # Runtimes fuse ReLU and ReLU6 into the operation before them, but not h-swish.
                raw, fused = _before_activation(target, operation.activation)
                self.operations.append(Add(source, other, raw, fused))
                self._activate(raw, target)
            elif isinstance(operation, Multiply):
                self.operations.append(Multiply(source, values[operation.other], target))
            else:
                self.operations.append(operation._replace(source=source, target=target))
            values[operation.target] = target
        self.value = values[graph.target]

    def _append_layer(self, layer: Layer, block: FoldedBlock, source: Value, target: Value) -> None:
        weight = block.weights[f"{layer.name}.weight"]
        bias = block.weights.get(f"{layer.name}.bias", np.zeros(len(weight), np.float32))
        if layer.is_linear:
            self.operations.append(Linear(source=source, target=target, weight=weight, bias=bias))
            return
        raw, fused = _before_activation(target, layer.activation)
        self.operations.append(
            Conv(
                source=source,
                target=raw,
                weight=weight,
                bias=bias,
                stride=layer.stride,
                is_depthwise=layer.is_depthwise,
                activation=fused,
                is_same=layer.is_same,
            )
        )
        self._activate(raw, target)

    def _activate(self, raw: Value, target: Value) -> None:
        """Append the h-swish from `raw` to `target`; nothing where they are the same value."""
        if raw != target:
            self.operations.append(HardSwish(source=raw, target=target))


def _before_activation(target: Value, activation: str) -> tuple[Value, str]:
    """Return the value that an operation must write and the activation to fuse into it, so that `target` comes out."""
    if activation == "h_swish":
        return target._replace(name=f"{target.name}.linear"), "none"
    return target, activation
