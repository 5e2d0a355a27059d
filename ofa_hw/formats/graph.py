"""Blocks as the few operations that every runtime has: model files are written, and references run, from these."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import FoldedBlock

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Value:
    """What flows between operations: for each image `channels` maps of `size` by `size`; a vector where size is 1."""

    name: str
    size: int
    channels: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution, padded by half its kernel on every side; then `activation`: none, relu or relu6.

    `weight` is (out, in, k, k), of a depthwise one (channels, 1, k, k).
    """

    source: Value
    target: Value
    weight: Floats
    bias: Floats
    stride: int
    is_depthwise: bool
    activation: str

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
class HardSigmoid:
    """relu6(x + 3) / 6."""

    source: Value
    target: Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlobalMean:
    """The mean of each channel's map."""

    source: Value
    target: Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxPool:
    """The maxima over 3x3 pixels, padded by one on every side, of values that are not negative."""

    source: Value
    target: Value
    stride: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanPool:
    """The means over `stride` by `stride` pixels; at an odd edge those of the pixels that are there."""

    source: Value
    target: Value
    stride: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multiply:
    """Each channel of `source` times its entry of `gate`, a vector."""

    source: Value
    gate: Value
    target: Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Add:
    """The shortcut: the sum of two values of one shape; then `activation`: none, relu or relu6."""

    source: Value
    other: Value
    target: Value
    activation: str = "none"


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

    With `takes_pixels` the source holds uint8 pixels, which a writer turns into numbers first.
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
        source = dataclasses.replace(source, name="pixels")
        lowering.operations.append(_normalising(source, lowering.value, normalisation))
    for index, block in enumerate(blocks):
        lowering.append(f"{index}", block)
    operations = tuple(lowering.operations)
    return Graph(source=source, target=lowering.value, operations=operations, takes_pixels=normalisation is not None)


def _normalising(source: Value, target: Value, normalisation: Normalisation) -> Conv:
    """Return the layer from pixels to `target`: a depthwise one of kernel 1, which no padding can reach."""
    mean, std = np.array(normalisation.mean), np.array(normalisation.std)
    if mean.shape != (target.channels,) or std.shape != mean.shape or not (std > 0).all():
        raise InvalidInputError(
            f"normalisation must have a mean and a positive std for each of {target.channels} channels; "
            f"came {normalisation}"
        )
    return Conv(
        source=source,
        target=target,
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
        spec = block.spec
        if (self.value.size, self.value.channels) != (spec.input_size, spec.in_channels):
            raise InvalidInputError(
                f"{spec.key} must get {spec.in_channels} channels of {spec.input_size} px; "
                f"came {self.value.channels} of {self.value.size} px from the block before it"
            )
        _LOWER[spec.kind](self, prefix, block)

    def conv(
        self,
        prefix: str,
        block: FoldedBlock,
        name: str,
        activation: str,
        *,
        stride: int = 1,
        is_depthwise: bool = False,
    ) -> None:
        """Append the convolution `name` of `block` and its activation."""
        weight = block.weights[f"{name}.weight"]
        bias = block.weights.get(f"{name}.bias")
        size = (self.value.size - 1) // stride + 1
        target = Value(name=f"{prefix}.{name}", size=size, channels=weight.shape[0])
        raw, fused = _before_activation(target, activation)
        self.operations.append(
            Conv(
                source=self.value,
                target=raw,
                weight=weight,
                bias=np.zeros(weight.shape[0], np.float32) if bias is None else bias,
                stride=stride,
                is_depthwise=is_depthwise,
                activation=fused,
            )
        )
        self.activate(raw, target)

    def activate(self, raw: Value, target: Value) -> None:
        """Append h-swish where it stands between `raw` and `target`, and go on from there."""
        if raw != target:
            self.operations.append(HardSwish(source=raw, target=target))
        self.value = target

    def pool(self, kind: type[MaxPool | MeanPool], name: str, stride: int) -> None:
        """Append a pooling."""
        target = Value(name=name, size=(self.value.size - 1) // stride + 1, channels=self.value.channels)
        self.operations.append(kind(source=self.value, target=target, stride=stride))
        self.value = target

    def mean(self, name: str) -> None:
        """Append the global mean."""
        target = Value(name=name, size=1, channels=self.value.channels)
        self.operations.append(GlobalMean(source=self.value, target=target))
        self.value = target

    def squeeze_excite(self, prefix: str, block: FoldedBlock) -> None:
        """Append the gate of `block` and its product with the current value."""
        features = self.value
        self.mean(f"{prefix}.se.mean")
        self.conv(prefix, block, "se.conv_reduce", "relu")
        self.conv(prefix, block, "se.conv_expand", "none")
        gate = dataclasses.replace(self.value, name=f"{prefix}.se.gate")
        self.operations.append(HardSigmoid(source=self.value, target=gate))
        self.value = dataclasses.replace(features, name=f"{prefix}.se")
        self.operations.append(Multiply(source=features, gate=gate, target=self.value))

    def skip(self, prefix: str, shortcut: Value, activation: str = "none") -> None:
        """Append the sum with `shortcut`, and its activation."""
        target = dataclasses.replace(self.value, name=f"{prefix}.skip")
        raw, fused = _before_activation(target, activation)
        self.operations.append(Add(source=shortcut, other=self.value, target=raw, activation=fused))
        self.activate(raw, target)


def _before_activation(target: Value, activation: str) -> tuple[Value, str]:
    """Return what an operation must give, and the activation that it can apply itself, for `target` to come out."""
    if activation == "h_swish":
        return dataclasses.replace(target, name=f"{target.name}.linear"), "none"
    return target, activation


def _lower_conv(lowering: _Lowering, prefix: str, block: FoldedBlock) -> None:
    spec, shortcut = block.spec, lowering.value
    is_pooled = spec.kind == "conv_pool"
    lowering.conv(prefix, block, "conv", spec.activation, stride=1 if is_pooled else spec.stride)
    if spec.has_skip:
        lowering.skip(prefix, shortcut)
    if is_pooled:
        lowering.pool(MaxPool, f"{prefix}.pool", spec.stride)


def _lower_bottleneck(lowering: _Lowering, prefix: str, block: FoldedBlock) -> None:
    spec, shortcut = block.spec, lowering.value
    lowering.conv(prefix, block, "conv1", spec.activation)
    lowering.conv(prefix, block, "conv2", spec.activation, stride=spec.stride)
    lowering.conv(prefix, block, "conv3", "none")
    if not spec.has_skip:
        main, lowering.value = lowering.value, shortcut
        if spec.stride > 1:
            lowering.pool(MeanPool, f"{prefix}.mean", spec.stride)
        lowering.conv(prefix, block, "conv_shortcut", "none")
        shortcut, lowering.value = lowering.value, main
    lowering.skip(prefix, shortcut, spec.activation)


def _lower_inverted_residual(lowering: _Lowering, prefix: str, block: FoldedBlock) -> None:
    spec, shortcut = block.spec, lowering.value
    if spec.kind == "mbconv":
        lowering.conv(prefix, block, "conv_pw", spec.activation)
    lowering.conv(prefix, block, "conv_dw", spec.activation, stride=spec.stride, is_depthwise=True)
    if spec.use_se:
        lowering.squeeze_excite(prefix, block)
    lowering.conv(prefix, block, "conv_pwl", "none")
    if spec.has_skip:
        lowering.skip(prefix, shortcut)


def _lower_head(lowering: _Lowering, prefix: str, block: FoldedBlock) -> None:
    lowering.conv(prefix, block, "conv", block.spec.activation)
    lowering.mean(f"{prefix}.mean")
    if block.spec.mid_channels:
        lowering.conv(prefix, block, "mix", block.spec.activation)


def _lower_classifier(lowering: _Lowering, prefix: str, block: FoldedBlock) -> None:
    if block.spec.input_size > 1:
        lowering.mean(f"{prefix}.mean")
    target = Value(name=f"{prefix}.linear", size=1, channels=block.spec.out_channels)
    lowering.operations.append(
        Linear(
            source=lowering.value,
            target=target,
            weight=block.weights["linear.weight"],
            bias=block.weights["linear.bias"],
        )
    )
    lowering.value = target


_LOWER = {
    "conv": _lower_conv,
    "conv_pool": _lower_conv,
    "dsconv": _lower_inverted_residual,
    "mbconv": _lower_inverted_residual,
    "bottleneck": _lower_bottleneck,
    "head": _lower_head,
    "classifier": _lower_classifier,
}
