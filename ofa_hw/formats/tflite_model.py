"""TFLite models, written directly as flatbuffers: a block takes a millisecond or two, and no converter is needed.

Tensors are NHWC. A convolution of stride 2 on an even size is a PAD and a VALID convolution, since TFLite's SAME would
pad only the far side, unless that is what is meant; h-sigmoid is an ADD with a fused RELU6, then a MUL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError, MissingDependencyError, how_to_install
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
    Operation,
    Value,
    lower,
)

_VERSION = 3
"""Of the schema, whose file identifier is TFL3."""
_ALIGNMENT = 16
"""TFLite maps the file and reads constants in place, so that they must begin at multiples of 16 bytes."""


def write_tflite(
    blocks: Sequence[FoldedBlock],
    *,
    batch_size: int = 1,
    metadata: Mapping[str, str] | None = None,
    normalisation: Normalisation | None = None,
) -> bytes:
    """Return the float32 model of `blocks`, one after the other, as the content of a .tflite file.

    The input is (batch_size, size, size, channels); the output (batch_size, classes) behind a classifier, else NHWC.
    With `normalisation` the input is uint8 pixels. `metadata` is kept in the file under its names.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
        InvalidInputError: a block does not fit the one before it, or `batch_size` is below 1.
    """
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be 1 or more; came {batch_size}")
    return ModelWriter(batch_size).write(lower(blocks, normalisation), metadata or {})


class ModelWriter:
    """Grows the tensors, buffers and operators of one float32 model."""

    names_constants = True
    """Whether tensors of constants keep their names in the file, where only people read them."""

    def __init__(self, batch_size: int) -> None:
        self.schema = _import_schema()
        self.batch_size = batch_size
        self.tensors: list[Any] = []
        # The first buffer is empty by convention: a tensor that points to it has no constant content.
        self.buffers: list[Any] = [self.schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: dict[int, int] = {}
        self.values: dict[str, int] = {}

    def write(self, graph: Graph, metadata: Mapping[str, str]) -> bytes:
        """Return the content of the file."""
        source = self.add_pixels(graph.source) if graph.takes_pixels else self.add_value(graph.source)
        for operation in graph.operations:
            self.add_operation(operation)
        subgraph = self.schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors = self.tensors
        subgraph.operators = self.operators
        subgraph.inputs = [source]
        subgraph.outputs = [self.values[graph.target.name]]
        model = self.schema.ModelT()
        model.version = _VERSION
        model.description = "ofa-hw"
        model.subgraphs = [subgraph]
        model.operatorCodes = [self.operator_code(code) for code in self.codes]
        model.metadata = [self.metadata_entry(name, text) for name, text in metadata.items()]
        model.buffers = self.buffers
        return _pack(model)

    # ------------------------------------------------------------------------------------------ operations

    pixel_operator = ("CAST", "CastOptionsT")

    def add_pixels(self, source: Value) -> int:
        """Return the input of uint8 pixels, and append the operator that converts them to the type of the model."""
        shape = (self.batch_size, source.size, source.size, source.channels)
        pixels = self.add_tensor("image", shape)
        self.tensors[pixels].type = self.schema.TensorType.UINT8
        code, options = self.pixel_operator
        self.add_operator(code, [pixels], self.add_value(source), getattr(self.schema, options)())
        return pixels

    def add_operation(self, operation: Operation) -> None:
        """Append an operation, as one operator or several."""
        match operation:
            case Conv():
                self.add_conv(operation)
            case HardSwish():
                self.add_hard_swish(operation)
            case HardSigmoid():
                self.add_hard_sigmoid(operation)
            case GlobalMean():
                self.add_mean(operation)
            case MaxPool():
                self.add_pool("MAX_POOL_2D", operation, kernel_size=3)
            case MeanPool():
                self.add_pool("AVERAGE_POOL_2D", operation, kernel_size=operation.stride)
            case Multiply():
                inputs = [self.of(operation.source), self.of(operation.other)]
                self.add_operator("MUL", inputs, self.add_value(operation.target), self.schema.MulOptionsT())
            case Add():
                inputs = [self.of(operation.source), self.of(operation.other)]
                options = self.schema.AddOptionsT()
                options.fusedActivationFunction = self.fused(operation.activation)
                self.add_operator("ADD", inputs, self.add_value(operation.target), options)
            case Linear():
                self.add_linear(operation)

    def add_conv(self, conv: Conv) -> None:
        """Append a convolution, after a PAD where SAME would not do."""
        source = self.of(conv.source)
        is_padded = conv.stride == 2 and conv.source.size % 2 == 0 and conv.kernel_size > 2 and not conv.is_same
        if is_padded:
            source = self.add_pad(conv, source, margin=conv.kernel_size // 2)
        # OIHW becomes OHWI; a depthwise C1HW becomes 1HWC.
        order, channel_axis = ((1, 2, 3, 0), 3) if conv.is_depthwise else ((0, 2, 3, 1), 0)
        weights = self.add_weights(conv, conv.weight.transpose(order), channel_axis=channel_axis)
        options = self.schema.DepthwiseConv2DOptionsT() if conv.is_depthwise else self.schema.Conv2DOptionsT()
        if conv.is_depthwise:
            options.depthMultiplier = 1
        options.padding = self.schema.Padding.VALID if is_padded else self.schema.Padding.SAME
        options.strideH = options.strideW = conv.stride
        options.fusedActivationFunction = self.fused(conv.activation)
        code = "DEPTHWISE_CONV_2D" if conv.is_depthwise else "CONV_2D"
        self.add_operator(code, [source, *weights], self.add_value(conv.target), options)

    def add_weights(
        self, operation: Conv | Linear, weight: npt.NDArray[np.float32], *, channel_axis: int | None
    ) -> tuple[int, int]:
        """Return the tensors of the weight, laid out as TFLite wants it, and of the bias."""
        name = operation.target.name
        return self.add_constant(f"{name}.weight", weight), self.add_constant(f"{name}.bias", operation.bias)

    def add_pool(self, code: str, pool: MaxPool | MeanPool, *, kernel_size: int) -> None:
        """Append a pooling, after a PAD where SAME would not do; a mean does not count what SAME pads."""
        source = self.of(pool.source)
        is_padded = pool.stride == 2 and pool.source.size % 2 == 0 and kernel_size == 3
        if is_padded:
            source = self.add_pad(pool, source, margin=1)
        options = self.schema.Pool2DOptionsT()
        options.padding = self.schema.Padding.VALID if is_padded else self.schema.Padding.SAME
        options.filterHeight = options.filterWidth = kernel_size
        options.strideH = options.strideW = pool.stride
        self.add_operator(code, [source], self.add_value(pool.target), options)

    def add_pad(self, operation: Conv | MaxPool | MeanPool, source: int, *, margin: int) -> int:
        """Return the input of an operation, padded with zeros, below which the input of a MaxPool never is."""
        paddings = np.array([[0, 0], [margin, margin], [margin, margin], [0, 0]], np.int32)
        size, channels = operation.source.size + 2 * margin, operation.source.channels
        padded = self.add_value(Value(name=f"{operation.target.name}.padded", size=size, channels=channels))
        inputs = [source, self.add_constant(f"{operation.target.name}.paddings", paddings)]
        self.add_operator("PAD", inputs, padded, self.schema.PadOptionsT())
        return padded

    def add_hard_swish(self, operation: HardSwish) -> None:
        """Append HARD_SWISH."""
        self.add_operator("HARD_SWISH", [self.of(operation.source)], self.add_value(operation.target))

    def add_hard_sigmoid(self, operation: HardSigmoid) -> None:
        """Append the two operators of h-sigmoid."""
        name, channels = operation.target.name, operation.target.channels
        shifted = self.add_value(Value(name=f"{name}.shifted", size=1, channels=channels))
        add = self.schema.AddOptionsT()
        add.fusedActivationFunction = self.fused("relu6")
        three = self.add_scalar(f"{name}.three", 3)
        self.add_operator("ADD", [self.of(operation.source), three], shifted, add)
        sixth = self.add_scalar(f"{name}.sixth", 1 / 6)
        self.add_operator("MUL", [shifted, sixth], self.add_value(operation.target), self.schema.MulOptionsT())

    def add_mean(self, operation: GlobalMean) -> None:
        """Append MEAN over height and width."""
        options = self.schema.ReducerOptionsT()
        options.keepDims = True
        axes = self.add_constant(f"{operation.target.name}.axes", np.array([1, 2], np.int32))
        self.add_operator("MEAN", [self.of(operation.source), axes], self.add_value(operation.target), options)

    def add_linear(self, operation: Linear) -> None:
        """Append FULLY_CONNECTED."""
        weights = self.add_weights(operation, operation.weight, channel_axis=None)
        target = self.add_value(operation.target, shape=(self.batch_size, operation.target.channels))
        inputs = [self.of(operation.source), *weights]
        self.add_operator("FULLY_CONNECTED", inputs, target, self.schema.FullyConnectedOptionsT())

    # --------------------------------------------------------------------------------------------- tensors

    def of(self, value: Value) -> int:
        """Return the tensor of a value that an earlier operation made."""
        return self.values[value.name]

    def add_value(self, value: Value, *, shape: tuple[int, ...] | None = None) -> int:
        """Return the new tensor of `value`; `shape` None is NHWC."""
        index = self.add_tensor(value.name, shape or (self.batch_size, value.size, value.size, value.channels))
        self.values[value.name] = index
        return index

    def add_constant(self, name: str, array: npt.NDArray[Any]) -> int:
        """Return the new tensor that holds `array`."""
        return self.add_tensor(name if self.names_constants else "", array.shape, array)

    def add_scalar(self, name: str, number: float) -> int:
        """Return the new constant that is broadcast over a value."""
        return self.add_constant(name, np.array([number], np.float32))

    def add_tensor(self, name: str, shape: tuple[int, ...], content: npt.NDArray[Any] | None = None) -> int:
        """Return the new tensor, of float32 where it has no content."""
        tensor = self.schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(shape, np.int32)
        dtype = np.dtype(np.float32) if content is None else content.dtype
        tensor.type = getattr(self.schema.TensorType, dtype.name.upper())
        tensor.buffer = 0 if content is None else self.add_buffer(np.ascontiguousarray(content))
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_buffer(self, content: npt.NDArray[Any]) -> int:
        """Return the new buffer that holds `content`."""
        buffer = self.schema.BufferT()
        buffer.data = content.reshape(-1).view(np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    # ------------------------------------------------------------------------------------------- operators

    def add_operator(self, code: str, inputs: list[int], target: int, options: Any | None = None) -> None:
        """Append the operator of this name, from tensors to a tensor."""
        operator = self.schema.OperatorT()
        builtin = getattr(self.schema.BuiltinOperator, code)
        # Operators point into a table of the kinds that the model uses.
        operator.opcodeIndex = self.codes.setdefault(builtin, len(self.codes))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([target], np.int32)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.operators.append(operator)

    def operator_code(self, builtin: int) -> Any:
        """Return the entry of the table of operators."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = builtin
        # Readers older than 2020 know only this field; it holds 127 where the code does not fit.
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.version = 1
        return code

    def metadata_entry(self, name: str, text: str) -> Any:
        """Return the entry that points to `text`."""
        entry = self.schema.MetadataT()
        entry.name = name
        entry.buffer = self.add_buffer(np.frombuffer(text.encode(), np.uint8))
        return entry

    def fused(self, activation: str) -> int:
        """Return the code of an activation that operators apply themselves."""
        names = {"none": "NONE", "relu": "RELU", "relu6": "RELU6"}
        return int(getattr(self.schema.ActivationFunctionType, names[activation]))


def _pack(model: Any) -> bytes:
    import flatbuffers

    class Builder(flatbuffers.Builder):  # type: ignore[misc]
        """Writes equal shapes, scales, indices once; aligns buffers to 16 bytes, as the generated code does not."""

        def __init__(self, initial_size: int) -> None:
            super().__init__(initial_size)
            self.offsets: dict[tuple[str, bytes], int] = {}

        def StartVector(self, elem_size: int, num_elems: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(elem_size, num_elems, _ALIGNMENT if elem_size == 1 else alignment)

        def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802
            # The content of a buffer: too large to be worth a key, and hardly ever equal to another.
            if x.dtype == np.uint8:
                return int(super().CreateNumpyVector(x))
            key = (x.dtype.str, x.tobytes())
            if key not in self.offsets:
                self.offsets[key] = super().CreateNumpyVector(x)
            return self.offsets[key]

    # A builder that starts too small copies itself every time it doubles.
    size = sum(buffer.data.nbytes for buffer in model.buffers if buffer.data is not None)
    builder = Builder(size + size // 8 + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _import_schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingDependencyError(
            f"writing a TFLite model needs ai-edge-litert; install it with `{how_to_install('tflite')}`"
        ) from error
    return schema_py_generated
