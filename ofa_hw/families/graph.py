"""A block as a small graph: layers with weights, and operations without, over values whose channels are named dims.

The graph holds only shapes and names: modules hold the weights of its layers. The cost of a block is counted from it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ofa_hw.families.spec import BlockSpec

ACTIVATIONS = ("relu", "relu6", "h_swish")

INPUT, HIDDEN, OUTPUT, SQUEEZE = "input", "hidden", "output", "squeeze"
"""Names of dims. Those that begin with `hidden` follow the expand ratio. All dims but those of input and output are
sorted by importance before smaller widths are trained."""


SAME_PADDING = "same_padding"
"""The attribute, 1, of a block with a stride whose convolutions pad as TensorFlow's SAME does."""


def margins(kernel_size: int, stride: int, size: int, *, is_same: bool) -> tuple[int, int]:
    """Return the zeros before and behind `size` pixels: half the kernel each, of SAME one less before where it can be.

    SAME pads no more than the last window needs: at stride 2 an even size lacks one pixel, which is saved in front.
    """
    margin = kernel_size // 2
    return max(0, margin - (is_same and stride == 2 and size % 2 == 0)), margin


def make_divisible(value: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `value`, at least `divisor` and never below 0.9 `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class Value(NamedTuple):
    """What flows between operations: per image `channels` maps of `size` by `size` pixels; `dim` names the channels."""

    name: str
    size: int
    channels: int
    dim: str = ""

    @property
    def num_values(self) -> int:
        """The numbers that it holds for one image."""
        return self.size**2 * self.channels


class Layer(NamedTuple):
    """A convolution, or a linear layer, with batch norm where `norm` names one, bias where it has one, then activation.

    A convolution pads by `margins`: half its kernel on every side or, where it `is_same`, as TensorFlow's SAME does.
    `kernel_choice` names the choice that its kernel size follows, if any: a smaller kernel is the centre of the next
    larger one, passed through a learnt map.
    """

    name: str
    source: Value
    target: Value
    kernel_size: int = 1
    stride: int = 1
    is_depthwise: bool = False
    is_linear: bool = False
    norm: str = ""
    has_bias: bool = False
    activation: str = "none"
    kernel_choice: str = ""
    is_same: bool = False

    @property
    def in_channels(self) -> int:
        """The channels of its input."""
        return self.source.channels

    @property
    def out_channels(self) -> int:
        """The channels of its output."""
        return self.target.channels

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(out, in, kernel, kernel), of a depthwise convolution (channels, 1, kernel, kernel), linear (out, in)."""
        if self.is_linear:
            return self.out_channels, self.in_channels
        return self.out_channels, 1 if self.is_depthwise else self.in_channels, self.kernel_size, self.kernel_size

    @property
    def num_macs(self) -> int:
        """The multiply-accumulates on one image."""
        return self.target.size**2 * math.prod(self.weight_shape)

    @property
    def num_params(self) -> int:
        """The learnt parameters, including the scale and shift of the batch norm behind it."""
        return math.prod(self.weight_shape) + self.out_channels * (2 * bool(self.norm) + self.has_bias)


class GlobalMean(NamedTuple):
    """The mean of each channel's map."""

    source: Value
    target: Value


class MaxPool(NamedTuple):
    """The maxima over 3x3 pixels, padded by one on every side, of values that are not negative."""

    source: Value
    target: Value
    stride: int


class MeanPool(NamedTuple):
    """The means over `stride` by `stride` pixels; at an edge where fewer are left, over those."""

    source: Value
    target: Value
    stride: int


class HardSigmoid(NamedTuple):
    """relu6(x + 3) / 6."""

    source: Value
    target: Value


class Multiply(NamedTuple):
    """Each channel of `source` times its entry of `other`, a vector."""

    source: Value
    other: Value
    target: Value


class Add(NamedTuple):
    """The sum of two values of one shape, `source` the shortcut; then `activation`."""

    source: Value
    other: Value
    target: Value
    activation: str = "none"


Operation = Layer | GlobalMean | MaxPool | MeanPool | HardSigmoid | Multiply | Add

IN_PLACE = (HardSigmoid, Multiply, Add)
"""Operations that may overwrite an input which nothing reads later."""


def reads(operation: Operation) -> tuple[Value, ...]:
    """Return the values that an operation reads."""
    return (operation.source, operation.other) if isinstance(operation, Multiply | Add) else (operation.source,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockGraph:
    """Operations in the order of their execution, from the value `source` to the value `target`."""

    source: Value
    target: Value
    operations: tuple[Operation, ...]

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The operations that have weights."""
        return tuple(operation for operation in self.operations if isinstance(operation, Layer))

    @functools.cached_property
    def dead_after(self) -> tuple[tuple[str, ...], ...]:
        """For each operation the names of the values that it is the last to read."""
        last_reader = {
            value.name: index for index, operation in enumerate(self.operations) for value in reads(operation)
        }
        # The output is read by whoever called.
        last_reader.pop(self.target.name, None)
        dead: list[list[str]] = [[] for _ in self.operations]
        for name, index in last_reader.items():
            dead[index].append(name)
        return tuple(map(tuple, dead))

    @functools.cached_property
    def peak_values(self) -> int:
        """The largest number of values that are alive at once, for one image."""
        alive = {self.source.name: self.source.num_values}
        peak = self.source.num_values
        for operation, dead in zip(self.operations, self.dead_after, strict=True):
            before = sum(alive.values())
            can_reuse = isinstance(operation, IN_PLACE) and any(
                value.name in dead and value.num_values == operation.target.num_values for value in reads(operation)
            )
            peak = max(peak, before if can_reuse else before + operation.target.num_values)
            for name in dead:
                alive.pop(name, None)
            alive[operation.target.name] = operation.target.num_values
        return peak

    @functools.cached_property
    def sortable_dims(self) -> tuple[str, ...]:
        """The dims whose channels may be reordered, those that are read last first."""
        # A depthwise layer keeps the order of its channels, it does not mix them: it does not end a dim.
        readers = {layer.source.dim: index for index, layer in enumerate(self.layers) if not layer.is_depthwise}
        return tuple(sorted(readers.keys() - {INPUT, OUTPUT}, key=lambda dim: -readers[dim]))


class GraphBuilder:
    """Builds the graph of one block, operation by operation; `value` is the output of the last one."""

    def __init__(self, spec: BlockSpec) -> None:
        """Begin at the block's input."""
        self.source = self.value = Value("input", spec.input_size, spec.in_channels, INPUT)
        self.operations: list[Operation] = []
        self.is_same = bool(spec.attribute(SAME_PADDING))

    def conv(
        self,
        name: str,
        channels: int,
        dim: str,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        norm: str = "",
        has_bias: bool = False,
        activation: str = "none",
    ) -> None:
        """Append a convolution to `channels` channels, which are the dim `dim`."""
        target = Value(name, self._strided(stride), channels, dim)
        self._append(
            Layer(
                name,
                self.value,
                target,
                kernel_size,
                stride,
                norm=norm,
                has_bias=has_bias,
                activation=activation,
                is_same=self.is_same and stride > 1,
            )
        )

    def depthwise(
        self, name: str, kernel_size: int, *, stride: int = 1, norm: str, activation: str = "none", choice: str = ""
    ) -> None:
        """Append a depthwise convolution, its kernel elastic where a `choice` is named."""
        target = Value(name, self._strided(stride), self.value.channels, self.value.dim)
        self._append(
            Layer(
                name,
                self.value,
                target,
                kernel_size,
                stride,
                is_depthwise=True,
                norm=norm,
                activation=activation,
                kernel_choice=choice,
                is_same=self.is_same and stride > 1,
            )
        )

    def linear(self, name: str, channels: int) -> None:
        """Append a linear layer with bias on a vector."""
        target = Value(name, 1, channels, OUTPUT)
        self._append(Layer(name, self.value, target, is_linear=True, has_bias=True))

    def mean(self, name: str = "mean") -> None:
        """Append the global mean."""
        self._append(GlobalMean(self.value, Value(name, 1, self.value.channels, self.value.dim)))

    def pool(self, kind: type[MaxPool | MeanPool], name: str, stride: int) -> None:
        """Append a pooling."""
        self._append(kind(self.value, Value(name, self._strided(stride), self.value.channels, self.value.dim), stride))

    def squeeze_excite(self, name: str, channels: int) -> None:
        """Append a gate for each channel, made of the global means by way of `channels` channels (arXiv 1905.02244)."""
        features = self.value
        self.mean(f"{name}.mean")
        self.conv(f"{name}.conv_reduce", channels, SQUEEZE, has_bias=True, activation="relu")
        self.conv(f"{name}.conv_expand", features.channels, features.dim, has_bias=True)
        self._append(HardSigmoid(self.value, self.value._replace(name=f"{name}.gate")))
        self._append(Multiply(features, self.value, features._replace(name=name)))

    def add(self, shortcut: Value, activation: str = "none") -> None:
        """Append the sum with `shortcut`, and its activation."""
        self._append(Add(shortcut, self.value, self.value._replace(name="skip"), activation))

    def build(self) -> BlockGraph:
        """Return the graph."""
        return BlockGraph(source=self.source, target=self.value, operations=tuple(self.operations))

    def _append(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.value = operation.target

    def _strided(self, stride: int) -> int:
        # size / stride, rounded up: padding by half the kernel makes up for the kernel's width.
        return (self.value.size - 1) // stride + 1
