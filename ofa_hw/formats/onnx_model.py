"""ONNX models, written directly with `onnx.helper`: opset 17, NCHW, from the same operations as TFLite's."""

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

OPSET = 17
_IR_VERSION = 8
"""The oldest that knows opset 17, so that older runtimes read the file."""


def write_onnx(
    blocks: Sequence[FoldedBlock],
    *,
    batch_size: int = 1,
    metadata: Mapping[str, str] | None = None,
    normalisation: Normalisation | None = None,
) -> bytes:
    """Return the float32 model of `blocks`, one after the other, as the content of an .onnx file.

    The input `input` is (batch_size, channels, size, size); the output `output` (batch_size, classes) behind a
    classifier, else NCHW. With `normalisation` the input is `image`, uint8 pixels. `metadata` is kept in the file.

    Raises:
        MissingDependencyError: onnx is not installed.
        InvalidInputError: a block does not fit the one before it, or `batch_size` is below 1.
    """
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be 1 or more; came {batch_size}")
    helper, onnx = _import_helper(), _import_onnx()
    graph = lower(blocks, normalisation)
    writer = _NodeWriter(helper)
    name, kind = "input", onnx.TensorProto.FLOAT
    if graph.takes_pixels:
        name, kind = "image", onnx.TensorProto.UINT8
        writer.add_node("Cast", [name], graph.source.name, to=onnx.TensorProto.FLOAT)
    for operation in graph.operations:
        writer.add(operation)
    writer.rename(graph.target.name, "output")
    is_logits = isinstance(graph.operations[-1], Linear)
    source = helper.make_tensor_value_info(name, kind, _shape(graph.source, batch_size))
    shape = [batch_size, graph.target.channels] if is_logits else _shape(graph.target, batch_size)
    target = helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(writer.nodes, "main", [source], [target], writer.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ofa-hw",
    )
    helper.set_model_props(model, dict(metadata or {}))
    return bytes(model.SerializeToString())


def _shape(value: Value, batch_size: int) -> list[int]:
    return [batch_size, value.channels, value.size, value.size]


class _NodeWriter:
    """Grows the nodes and constants of one model; the value of each operation keeps its name."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: Operation) -> None:
        source, target = operation.source.name, operation.target.name
        match operation:
            case Conv():
                self.add_conv(operation)
            case HardSwish():
                self.add_node("HardSwish", [source], target)
            case HardSigmoid():
                self.add_node("HardSigmoid", [source], target, alpha=1 / 6, beta=0.5)
            case GlobalMean():
                self.add_node("GlobalAveragePool", [source], target)
            case MaxPool():
                window = {"kernel_shape": [3] * 2, "strides": [operation.stride] * 2, "pads": [1] * 4}
                self.add_node("MaxPool", [source], target, **window)
            case MeanPool():
                # torch's ceil_mode: windows reach over the far edge and average the pixels that are there. Padding
                # says so to every runtime.
                edge = -operation.source.size % operation.stride
                window = {"kernel_shape": [operation.stride] * 2, "strides": [operation.stride] * 2}
                self.add_node("AveragePool", [source], target, **window, pads=[0, 0, edge, edge], count_include_pad=0)
            case Multiply():
                self.add_node("Mul", [source, operation.other.name], target)
            case Add():
                raw = self.raw_name(target, operation.activation)
                self.add_node("Add", [source, operation.other.name], raw)
                self.add_activation(raw, target, operation.activation)
            case Linear():
                self.add_node("Flatten", [source], f"{target}.flat", axis=1)
                inputs = [
                    f"{target}.flat",
                    self.add_constant(f"{target}.weight", operation.weight),
                    self.add_constant(f"{target}.bias", operation.bias),
                ]
                self.add_node("Gemm", inputs, target, transB=1)

    def add_conv(self, conv: Conv) -> None:
        target = conv.target.name
        inputs = [
            conv.source.name,
            self.add_constant(f"{target}.weight", conv.weight),
            self.add_constant(f"{target}.bias", conv.bias),
        ]
        raw = self.raw_name(target, conv.activation)
        self.add_node(
            "Conv",
            inputs,
            raw,
            kernel_shape=[conv.kernel_size] * 2,
            strides=[conv.stride] * 2,
            pads=[margin for margin in conv.margins for _ in ("height", "width")],
            group=conv.target.channels if conv.is_depthwise else 1,
        )
        self.add_activation(raw, target, conv.activation)

    def raw_name(self, target: str, activation: str) -> str:
        """Return the name of what comes before an activation, `target` itself where there is none."""
        return target if activation == "none" else f"{target}.raw"

    def add_activation(self, raw: str, target: str, activation: str) -> None:
        if activation == "relu":
            self.add_node("Relu", [raw], target)
        elif activation == "relu6":
            # Clip takes its ends as inputs since opset 11.
            limits = [self.add_constant(f"{target}.{limit}", np.array(limit, np.float32)) for limit in (0, 6)]
            self.add_node("Clip", [raw, *limits], target)

    def add_node(self, kind: str, inputs: list[str], target: str, **attributes: object) -> None:
        self.nodes.append(self.helper.make_node(kind, inputs, [target], name=target, **attributes))

    def add_constant(self, name: str, array: npt.NDArray[np.float32]) -> str:
        content = np.ascontiguousarray(array, np.float32).tobytes()
        # 1 is TensorProto.FLOAT. Raw bytes are much faster than a list of numbers.
        self.constants.append(self.helper.make_tensor(name, 1, array.shape, content, raw=True))
        return name

    def rename(self, name: str, new_name: str) -> None:
        """Give the value `name`, the output of the last node, another name."""
        self.nodes[-1].output[0] = new_name
        assert all(name not in node.input for node in self.nodes)


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            f"writing an ONNX model needs onnx; install it with `{how_to_install('onnx')}`"
        ) from error
    return onnx


def _import_helper() -> Any:
    return _import_onnx().helper
