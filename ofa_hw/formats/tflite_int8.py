"""Full-integer TFLite models: int8 throughout, by TFLite's own scheme.

An int8 q stands for scale (q - zero_point); weights are symmetric, biases int32 in units of input scale times weight
scale (Jacob et al., arXiv 1712.05877, section 2; TensorFlow Lite 8-bit quantization specification).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.formats.operations import (
    Add,
    Conv,
    GlobalMean,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    MeanPool,
    Multiply,
    Normalisation,
    Value,
    lower,
)
from ofa_hw.formats.tflite_model import ModelWriter

Range = tuple[float, float]

_SMALLEST_RANGE = 1e-4
"""No scale may be 0, even of a value that is always the same."""
_ONE_SCALE_LIMIT = 0.02
"""A layer has one scale for all its weights where their root mean square error is at most this share of them, else one
for each channel. Scales take 20 bytes a channel, a third of a small network. Depthwise layers have them always."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How an int8 tensor stands for real numbers."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Scale:
        """Return the finest scale whose range holds `low`, 0 and `high`; 0 is represented exactly."""
        low, high = min(low, 0.0), max(high, 0.0, min(low, 0.0) + _SMALLEST_RANGE)
        scale = (high - low) / 255
        return cls(scale=scale, zero_point=int(np.clip(round(-128 - low / scale), -128, 127)))


def write_tflite_int8(
    blocks: Sequence[FoldedBlock],
    ranges: Mapping[str, Range],
    *,
    batch_size: int = 1,
    metadata: Mapping[str, str] | None = None,
    normalisation: Normalisation | None = None,
) -> bytes:
    """Return the int8 model of `blocks` as the content of a .tflite file; input and output are int8 too.

    `ranges` holds the ends of every value between operations, by the names of `formats.operations.lower`, as they were
    observed on typical inputs. With `normalisation` the input is uint8 pixels.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
        InvalidInputError: a range is missing or not finite, or a block does not fit the one before it.
    """
    graph = lower(blocks, normalisation)
    if graph.takes_pixels:
        ranges = {**ranges, graph.source.name: (0.0, 255.0)}
    sixfold = _sixfold(graph)
    writer = _Int8Writer(_check_batch(batch_size), _scales(graph, ranges, sixfold), sixfold)
    return writer.write(graph, metadata or {})


def _check_batch(batch_size: int) -> int:
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be 1 or more; came {batch_size}")
    return batch_size


def _sixfold(graph: Graph) -> frozenset[str]:
    """Return the names of values that may be six times too large, because only layers with weights read them.

    h-swish is x relu6(x + 3) / 6. Where the division can be left out, an operator is saved: the scale of the next
    layer's weights is divided by 6 instead. Means, pools and gates in between pass the factor on.
    """
    # Backwards: what is added, gated by or activated, and what the caller reads, must have its true size.
    true_sized = {graph.target.name}
    for operation in reversed(graph.operations):
        if isinstance(operation, GlobalMean | MaxPool | MeanPool | Multiply):
            true_sized |= {operation.source.name} if operation.target.name in true_sized else set()
            true_sized |= {operation.other.name} if isinstance(operation, Multiply) else set()
        elif isinstance(operation, Add):
            true_sized |= {operation.source.name, operation.other.name}
        elif isinstance(operation, HardSwish | HardSigmoid):
            true_sized |= {operation.source.name}
    # Forwards: an h-swish starts the factor, and operations that are proportional to their input carry it on.
    sixfold: set[str] = set()
    for operation in graph.operations:
        is_proportional = isinstance(operation, GlobalMean | MaxPool | MeanPool | Multiply)
        is_proportional = is_proportional and operation.source.name in sixfold
        is_swish = isinstance(operation, HardSwish) and operation.target.name not in true_sized
        sixfold |= {operation.target.name} if is_proportional or is_swish else set()
    return frozenset(sixfold)


def _scales(graph: Graph, ranges: Mapping[str, Range], sixfold: frozenset[str]) -> dict[str, Scale]:
    scales = {}
    for name in (graph.source.name, *(operation.target.name for operation in graph.operations)):
        if name not in ranges or not np.isfinite(ranges[name]).all():
            raise InvalidInputError(
                f"ranges must hold the finite least and greatest of {name}; came {ranges.get(name)}"
            )
        factor = 6 if name in sixfold else 1
        scales[name] = Scale.of_range(*(factor * end for end in ranges[name]))
    for operation in graph.operations:
        name = operation.target.name
        # The scales of the helper values that `add_hard_sigmoid`, `add_hard_swish` and `add_pad` write.
        if isinstance(operation, HardSigmoid):
            scales[name] = Scale.of_range(0, 1)
            scales[f"{name}.shifted"] = Scale.of_range(0, 6)
        elif isinstance(operation, HardSwish):
            low, high = ranges[operation.source.name]
            scales[f"{name}.gate"] = Scale.of_range(0, 6)
            scales[f"{name}.sixth"] = Scale.of_range(low / 6, high / 6)
        elif isinstance(operation, MaxPool | MeanPool):
            # TFLite requires the same scale on both sides of a pooling.
            scales[name] = scales[f"{name}.padded"] = scales[operation.source.name]
        elif isinstance(operation, Conv):
            scales[f"{name}.padded"] = scales[operation.source.name]
    return scales


class _Int8Writer(ModelWriter):
    """Writes the same operators with quantised tensors; constants have no names, which would be 3 % of a small file."""

    names_constants = False

    def __init__(self, batch_size: int, scales: Mapping[str, Scale], sixfold: frozenset[str]) -> None:
        super().__init__(batch_size)
        self.scales, self.sixfold = scales, sixfold
        self.numbers: dict[float, int] = {}

    def add_value(self, value: Value, *, shape: tuple[int, ...] | None = None) -> int:
        index = super().add_value(value, shape=shape)
        self.tensors[index].type = self.schema.TensorType.INT8
        scale = self.scales[value.name]
        self.quantise(index, np.array([scale.scale]), np.array([scale.zero_point]))
        return index

    def add_weights(
        self, operation: Conv | Linear, weight: npt.NDArray[np.float32], *, channel_axis: int | None
    ) -> tuple[int, int]:
        name = operation.target.name
        is_depthwise = isinstance(operation, Conv) and operation.is_depthwise
        if not is_depthwise and _loss_of_one_scale(weight) <= _ONE_SCALE_LIMIT:
            channel_axis = None
        others = None if channel_axis is None else tuple(axis for axis in range(weight.ndim) if axis != channel_axis)
        limits = np.abs(weight).max(axis=others, keepdims=True).astype(np.float64)
        # -127 to 127 without -128, so that weights are symmetric. A channel of zeros still needs a scale.
        scales = np.maximum(limits, _SMALLEST_RANGE * max(float(limits.max()), _SMALLEST_RANGE)) / 127
        quantised = np.clip(np.rint(weight / scales), -127, 127).astype(np.int8)
        weight_index = self.add_constant(f"{name}.weight", quantised)
        if operation.source.name in self.sixfold:
            # The int8 numbers stay; they only stand for a sixth, as the input stands for six times too much.
            scales = scales / 6
        self.quantise(weight_index, scales.ravel(), np.zeros(scales.size, np.int64), axis=channel_axis or 0)
        units = scales.ravel() * self.scales[operation.source.name].scale
        limit = np.iinfo(np.int32).max
        bias = np.clip(np.rint(operation.bias.astype(np.float64) / units), -limit, limit).astype(np.int32)
        bias_index = self.add_constant(f"{name}.bias", bias)
        self.quantise(bias_index, units, np.zeros(units.size, np.int64))
        return weight_index, bias_index

    def add_pool(self, code: str, pool: MaxPool | MeanPool, *, kernel_size: int) -> None:
        # XNNPACK does not take an int8 AVERAGE_POOL_2D; a convolution it takes, where windows are whole.
        if isinstance(pool, MaxPool) or pool.source.size % pool.stride:
            super().add_pool(code, pool, kernel_size=kernel_size)
            return
        channels, area = pool.source.channels, kernel_size**2
        mean = Conv(
            source=pool.source,
            target=pool.target,
            weight=np.full((channels, 1, kernel_size, kernel_size), 1 / area, np.float32),
            bias=np.zeros(channels, np.float32),
            stride=pool.stride,
            is_depthwise=True,
            activation="none",
        )
        self.add_conv(mean)

    pixel_operator = ("QUANTIZE", "QuantizeOptionsT")

    def add_pixels(self, source: Value) -> int:
        pixels = super().add_pixels(source)
        self.quantise(pixels, np.array([1.0]), np.array([0]))
        return pixels

    def add_scalar(self, name: str, number: float) -> int:
        if number not in self.numbers:
            # 127 steps of number / 127: the constant is exact.
            self.numbers[number] = self.add_constant(name, np.array([127], np.int8))
            self.quantise(self.numbers[number], np.array([number / 127]), np.array([0]))
        return self.numbers[number]

    def add_hard_swish(self, operation: HardSwish) -> None:
        name, source = operation.target.name, self.of(operation.source)
        gate = self.add_value(operation.target._replace(name=f"{name}.gate"))
        add = self.schema.AddOptionsT()
        add.fusedActivationFunction = self.fused("relu6")
        self.add_operator("ADD", [source, self.add_scalar("three", 3)], gate, add)
        if name not in self.sixfold:
            sixth = self.add_value(operation.target._replace(name=f"{name}.sixth"))
            self.add_operator("MUL", [source, self.add_scalar("sixth", 1 / 6)], sixth, self.schema.MulOptionsT())
            source = sixth
        self.add_operator("MUL", [source, gate], self.add_value(operation.target), self.schema.MulOptionsT())

    def quantise(
        self, index: int, scales: npt.NDArray[np.float64], zero_points: npt.NDArray[np.int64], *, axis: int = 0
    ) -> None:
        """Give the tensor at `index` its scales: one, or one for each entry along `axis`."""
        parameters = self.schema.QuantizationParametersT()
        parameters.scale = scales.astype(np.float32)
        parameters.zeroPoint = zero_points.astype(np.int64)
        parameters.quantizedDimension = axis
        self.tensors[index].quantization = parameters


def _loss_of_one_scale(weight: npt.NDArray[np.float32]) -> float:
    """Return the root mean square error of `weight` in int8 with one scale, relative to its root mean square."""
    step = max(float(np.abs(weight).max()), 1e-30) / 127
    error = np.rint(weight / step) * step - weight
    return float(np.linalg.norm(error)) / max(float(np.linalg.norm(weight)), 1e-30)
