"""Model files that others made: inputs of any number, type and shape."""

import dataclasses

import numpy as np
import pytest

from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.tflite_int8 import write_tflite_int8
from ofa_hw.nn.folded_reference import value_ranges
from ofa_hw.profiling import MeasurementPlan, ModelFile, Workload
from ofa_hw.profiling.measurement import random_input
from ofa_hw.testing import light_block
from profilers.onnx import OnnxRuntimeProfiler
from profilers.tflite import TfliteProfiler
from profilers.worker import _concrete, _made_up

onnx = pytest.importorskip("onnx")
TYPES = ("FLOAT", "FLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64", "BOOL")


def save(path, nodes, inputs, outputs, constants=()):
    graph = onnx.helper.make_graph(nodes, "foreign", inputs, outputs, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def value(name, kind="FLOAT", shape=(1, 4)):
    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)


def marks_of(profiler, *files):
    """Open the files in one process, time each twice, and return their marks."""
    workloads = [Workload(name=f"model {index}", file=file) for index, file in enumerate(files)]
    session = profiler.open(workloads, MeasurementPlan())
    try:
        times = session.time([*range(len(files))] * 2, [1] * 2 * len(files))
        assert min(times.ms) > 0
        return session.marks
    finally:
        session.close()


def test_every_type_of_input_and_several_of_them_are_fed(tmp_path):
    node = onnx.helper.make_node
    inputs = [value(kind.lower(), kind) for kind in TYPES]
    casts = [node("Cast", [kind.lower()], [f"cast_{kind}"], to=onnx.TensorProto.FLOAT) for kind in TYPES]
    total = node("Sum", [f"cast_{kind}" for kind in TYPES], ["y"])
    nodes, outputs = [*casts, total, node("Shape", ["y"], ["s"])], [value("y"), value("s", "INT64", (2,))]
    path = save(tmp_path / "many.onnx", nodes, inputs, outputs)
    assert marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path)) == ("",)


def test_open_shapes_are_given_or_assumed_and_marked(tmp_path):
    pool = onnx.helper.make_node("GlobalAveragePool", ["my image"], ["y"])
    image = value("my image", shape=("batch", 3, "h", None))
    path = save(tmp_path / "open.onnx", [pool], [image], [value("y", shape=("batch", 3, 1, 1))])
    given = ModelFile(path=path, shapes={"my image": (2, 3, 32, 48)})
    marks = marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path), given)
    assert marks == ("assumed:my_image=1x3x224x224", "")


def test_results_that_cannot_be_bound_are_timed_all_the_same(tmp_path):
    sequence = onnx.helper.make_node("SequenceConstruct", ["x", "x"], ["y"])
    output = onnx.helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, (1, 4))
    path = save(tmp_path / "sequence.onnx", [sequence], [value("x")], [output])
    assert marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path)) == ("",)


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ({"z": (1, 4)}, "shapes must be those of the inputs x; came z"),
        ({"x": (1, 5)}, r"input x must be of shape \[1, 4\]; came \[1, 5\]"),
        ({"x": (4,)}, r"input x must be of shape \[1, 4\]; came \[4\]"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_refused(tmp_path, shapes, told):
    path = save(tmp_path / "m.onnx", [onnx.helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")])
    with pytest.raises(DeviceError, match=rf"cannot build model 0: .*{told}"):
        marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path, shapes=shapes))


def test_a_shape_that_was_assumed_wrongly_says_so(tmp_path):
    product = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    inputs = [value("x", shape=(1, None)), value("w", shape=(7, 2))]
    path = save(tmp_path / "m.onnx", [product], inputs, [value("y", shape=(1, 2))])
    with pytest.raises(DeviceError, match=r"open shapes were assumed:x=1x128, which may be wrong: give them as shapes"):
        marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path))


def test_text_is_no_input(tmp_path):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    path = save(tmp_path / "t.onnx", [node], [value("x", "STRING")], [value("y", "STRING")])
    with pytest.raises(DeviceError, match=r"input x must be a tensor of numbers; it is tensor\(string\)"):
        marks_of(OnnxRuntimeProfiler(None), ModelFile(path=path))


def write_tflite_file(path, tensors, operators, *, inputs, outputs):
    """Write a .tflite file by the schema alone.

    `tensors` are (name, shape, type or the float32 values), -1 for what is open; `operators` are (builtin, inputs,
    outputs, options).
    """
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.inputs, graph.outputs, graph.tensors, graph.operators = inputs, outputs, [], []
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], [graph]
    for name, shape, told in tensors:
        tensor = schema.TensorT()
        tensor.name, tensor.buffer = name.encode(), 0
        tensor.shape, tensor.shapeSignature = [max(size, 1) for size in shape], list(shape)
        tensor.type = told if isinstance(told, int) else schema.TensorType.FLOAT32
        if not isinstance(told, int):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(told, np.float32).tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    for builtin, sources, targets, options in operators:
        operator, code = schema.OperatorT(), schema.OperatorCodeT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), sources, targets
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator.builtinOptions = options
        code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, builtin)
        code.deprecatedBuiltinCode = code.builtinCode
        graph.operators.append(operator)
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def write_sum(path, signature, kind):
    """Write a .tflite file that adds its inputs `a b` and `b` of this shape, -1 for what is open, and type."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    tensors = [(name, signature, kind) for name in ("a b", "b", "y")]
    operators = [("ADD", [0, 1], [2], schema.AddOptionsT())]
    return write_tflite_file(path, tensors, operators, inputs=[0, 1], outputs=[2])


def write_residual_net(path):
    """Write a .tflite file as converters make them: two convolutions of one residual, pooling, a dense layer."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    rng, float32 = np.random.default_rng(0), schema.TensorType.FLOAT32
    convolution, dense = schema.Conv2DOptionsT(), schema.FullyConnectedOptionsT()
    convolution.strideH = convolution.strideW = 1
    convolution.fusedActivationFunction = schema.ActivationFunctionType.RELU
    pool, softmax = schema.Pool2DOptionsT(), schema.SoftmaxOptionsT()
    pool.filterHeight = pool.filterWidth = pool.strideH = pool.strideW = 32
    pool.padding, softmax.beta = schema.Padding.VALID, 1.0
    tensors = [
        ("serving_default_image:0", (1, 32, 32, 16), float32),
        ("stem/Conv2D", (16, 3, 3, 16), rng.normal(size=(16, 3, 3, 16))),
        ("branch/Conv2D", (16, 1, 1, 16), rng.normal(size=(16, 1, 1, 16))),
        ("bias", (16,), np.ones(16)),
        ("stem/Relu", (1, 32, 32, 16), float32),
        ("branch/Relu", (1, 32, 32, 16), float32),
        ("add", (1, 32, 32, 16), float32),
        ("pool", (1, 1, 1, 16), float32),
        ("dense/MatMul", (10, 16), rng.normal(size=(10, 16))),
        ("dense/bias", (10,), np.zeros(10)),
        ("logits", (1, 10), float32),
        ("StatefulPartitionedCall:0", (1, 10), float32),
    ]
    operators = [
        ("CONV_2D", [0, 1, 3], [4], convolution),
        ("CONV_2D", [4, 2, 3], [5], convolution),
        ("ADD", [4, 5], [6], schema.AddOptionsT()),
        ("AVERAGE_POOL_2D", [6], [7], pool),
        ("FULLY_CONNECTED", [7, 8, 9], [10], dense),
        ("SOFTMAX", [10], [11], softmax),
    ]
    return write_tflite_file(path, tensors, operators, inputs=[0], outputs=[11])


def save_classifier(path):
    """Save an .onnx file as exporters make them: batch norm and hard swish unfolded, a gate, batch and size open."""
    rng, node = np.random.default_rng(0), onnx.helper.make_node
    shapes = {"stem": (8, 3, 3, 3), "gate": (8, 8, 1, 1), "dense": (8, 2)} | dict.fromkeys("abmv", (8,))
    constants = [
        onnx.numpy_helper.from_array(rng.random(shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        node("Conv", ["x", "stem"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "a", "b", "m", "v"], ["n"]),
        node("HardSwish", ["n"], ["s"]),
        node("GlobalAveragePool", ["s"], ["squeezed"]),
        node("Conv", ["squeezed", "gate"], ["excited"]),
        node("HardSigmoid", ["excited"], ["open"]),
        node("Mul", ["s", "open"], ["gated"]),
        node("GlobalMaxPool", ["gated"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "dense"], ["logits"]),
        node("Softmax", ["logits"], ["y"]),
    ]
    inputs, outputs = [value("x", shape=("batch", 3, "h", "w"))], [value("y", shape=("batch", 2))]
    return save(path, nodes, inputs, outputs, constants)


def test_tflite_files_with_several_inputs_open_shapes_and_integers_are_timed(tmp_path):
    float32, int32 = 0, 2
    two = write_sum(tmp_path / "two.tflite", (1, 8, 8, 4), float32)
    free = write_sum(tmp_path / "free.tflite", (-1, -1, -1, 3), float32)
    whole = write_sum(tmp_path / "whole.tflite", (1, 8, 8, 4), int32)
    given = ModelFile(path=free, shapes={"a b": (1, 16, 16, 3), "b": (1, 16, 16, 3)})
    assert marks_of(TfliteProfiler(None), ModelFile(path=two), ModelFile(path=free), given, ModelFile(path=whole)) == (
        "",
        "assumed:a_b=1x224x224x3 assumed:b=1x224x224x3",
        "",
        "partly-delegated",
    )


def test_an_int8_tflite_file_is_timed(tmp_path):
    blocks = (random_block(light_block()),)
    path = tmp_path / "int8.tflite"
    path.write_bytes(write_tflite_int8(blocks, value_ranges(blocks, random_input(blocks[0].spec))))
    assert marks_of(TfliteProfiler(None), ModelFile(path=path)) == ("",)


def test_whole_networks_of_other_writers_are_timed(tmp_path):
    net, classifier = write_residual_net(tmp_path / "net.tflite"), save_classifier(tmp_path / "classifier.onnx")
    assert marks_of(TfliteProfiler(None), ModelFile(path=net)) == ("",)
    marks = marks_of(
        OnnxRuntimeProfiler(None), ModelFile(path=classifier), ModelFile(path=classifier, shapes={"x": (1, 3, 48, 192)})
    )
    assert marks == ("assumed:x=1x3x224x224", "")


@pytest.mark.parametrize(
    ("dims", "shape", "mark"),
    [
        ([1, 32, 32, 3], [1, 32, 32, 3], ""),
        ([-1, 32, 32, 3], [1, 32, 32, 3], ""),
        ([-1, -1, -1, 3], [1, 224, 224, 3], "assumed:x=1x224x224x3"),
        (["n", "tokens"], [1, 128], "assumed:x=1x128"),
        ([], [], ""),
    ],
)
def test_open_dimensions_are_a_batch_an_image_or_a_sequence(dims, shape, mark):
    assert _concrete("x", dims, {}) == (shape, mark)


def test_a_file_without_any_dimension_takes_whatever_shape_is_given():
    assert _concrete("x", [], {"x": [2, 3]}) == ([2, 3], "")


def test_integers_that_may_be_indices_are_zeros_and_pixels_are_not():
    assert not _made_up("x", (2, 3), np.int64).any()
    assert _made_up("x", (20, 3), np.uint8).any()
    assert _made_up("x", (20, 3), np.float16).dtype == np.float16


def test_a_shape_must_be_of_whole_numbers():
    with pytest.raises(InvalidInputError, match="the shape of input 'x' must be whole numbers above 0"):
        ModelFile(path=None, shapes={"x": (1, -3)})


def test_a_process_that_dies_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "deadly.tflite"
    path.write_bytes(b"x")
    profiler = TfliteProfiler(None)
    worker = tmp_path / "worker.py"
    text = profiler.transport._worker.read_text()
    worker.write_text(
        text.replace(
            "                self.runners.append(", "                os.abort()\n                self.runners.append("
        )
    )
    monkeypatch.setattr(profiler.transport, "_worker", worker)
    with pytest.raises(DeviceError, match=r"host: the worker was ended by signal 6: .*while opening .*deadly\.tflite"):
        marks_of(profiler, ModelFile(path=path))


def test_a_workload_is_either_blocks_or_a_file():
    with pytest.raises(AssertionError):
        Workload(name="a")
    block = Workload.of_block(light_block())
    with pytest.raises(AssertionError):
        dataclasses.replace(block, file=ModelFile(path=None))
