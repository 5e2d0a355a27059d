import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.operations import HardSwish, lower
from ofa_hw.formats.tflite_int8 import Scale, write_tflite_int8
from ofa_hw.nn.folded_reference import run_blocks, value_ranges
from ofa_hw.space import get_space

interpreters = pytest.importorskip("ai_edge_litert.interpreter")


def interpret(model, x_BCHW):
    interpreter = interpreters.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    quantised = np.clip(np.rint(x_BCHW.transpose(0, 2, 3, 1) / scale) + zero_point, -128, 127)
    interpreter.set_tensor(source["index"], quantised.astype(np.int8))
    interpreter.invoke()
    scale, zero_point = target["quantization"]
    return (interpreter.get_tensor(target["index"]).astype(np.float32) - zero_point) * scale, interpreter


@pytest.mark.parametrize("space_name", ["fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_network_is_int8_throughout_and_near_torch(space_name):
    space = get_space(space_name)
    blocks = [random_block(spec) for spec in block_specs(space, space.smallest)]
    resolution = space.smallest.resolution
    x = np.random.default_rng(0).standard_normal((1, space.in_channels, resolution, resolution), np.float32)
    logits, interpreter = interpret(write_tflite_int8(blocks, value_ranges(blocks, x)), x)
    assert np.corrcoef(logits.ravel(), run_blocks(blocks, x).ravel())[0, 1] > 0.99
    dtypes = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert dtypes <= {np.int8, np.int32}
    operations = interpreter._get_ops_details()
    assert [operation["op_name"] for operation in operations].count("DELEGATE") == 1
    assert operations[-1]["outputs"].tolist() == [interpreter.get_output_details()[0]["index"]]


def test_h_swish_is_two_operators_before_a_layer_and_three_before_a_shortcut():
    space = get_space("ofa-mobilenetv3-w1.0")
    blocks = [random_block(spec) for spec in block_specs(space, space.smallest)]
    stem, first = blocks[:2]
    assert stem.spec.activation == "h_swish"
    assert first.spec.has_skip
    x = np.random.default_rng(0).standard_normal((1, 3, stem.spec.input_size, stem.spec.input_size), np.float32)
    ranges = value_ranges(blocks, x)
    swishes = [operation for operation in lower(blocks).operations if isinstance(operation, HardSwish)]
    assert count(write_tflite_int8(blocks, ranges), "sixth") == 1
    assert len(swishes) > 10
    # Alone, the stem's output leaves the model: it has its true size.
    assert count(write_tflite_int8([stem], value_ranges([stem], x)), "sixth") == 1


def count(model, ending):
    interpreter = interpreters.Interpreter(model_content=model, num_threads=1)
    return sum(tensor["name"].endswith(ending) for tensor in interpreter.get_tensor_details())


def test_weights_of_like_size_share_a_scale_and_others_have_one_for_each_channel():
    block = random_block(block_specs(get_space("fashion"), get_space("fashion").smallest)[-2])
    spec = block.spec
    factors = np.logspace(0, 3, spec.out_channels, dtype=np.float32)[:, None, None, None]
    wide = {**block.weights, "conv.weight": block.weights["conv.weight"] * factors}
    x = np.random.default_rng(0).standard_normal((1, spec.in_channels, spec.input_size, spec.input_size), np.float32)
    assert num_scales(block, x) == 1
    assert num_scales(dataclasses.replace(block, weights=wide), x) == spec.out_channels


def num_scales(block, x):
    interpreter = interpreters.Interpreter(model_content=write_tflite_int8([block], value_ranges([block], x)))
    return max(len(tensor["quantization_parameters"]["scales"]) for tensor in interpreter.get_tensor_details())


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_scale_holds_the_range_and_zero_exactly(one, other):
    low, high = min(one, other), max(one, other)
    scale = Scale.of_range(low, high)
    least, greatest = (scale.scale * (q - scale.zero_point) for q in (-128, 127))
    assert -128 <= scale.zero_point <= 127
    assert least <= min(low, 0) + scale.scale
    assert greatest >= max(high, 0) - scale.scale


def test_missing_range_is_refused():
    blocks = [random_block(block_specs(get_space("fashion"), get_space("fashion").smallest)[0])]
    with pytest.raises(InvalidInputError, match=r"least and greatest of 0\.conv"):
        write_tflite_int8(blocks, {"input": (-1, 1)})
    with pytest.raises(InvalidInputError, match="least and greatest of input; came"):
        write_tflite_int8(blocks, {"input": (-1, float("nan"))})
