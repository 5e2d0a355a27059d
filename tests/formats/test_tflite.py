import numpy as np
import pytest
import torch
from torch import nn

from ofa_hw.blocks import block_specs, unique_block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.nn.block import build_block
from ofa_hw.nn.build import build_subnet
from ofa_hw.nn.folding import fold_block, fold_chain
from ofa_hw.space import get_space

interpreters = pytest.importorskip("ai_edge_litert.interpreter")
SPACES = ("fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50")


def one_of_each_form(space_name):
    """The blocks of a space's smallest even and odd feature maps, one for each case of the writers."""
    found = {}
    for spec in unique_block_specs(get_space(space_name)):
        form = (
            spec.kind,
            spec.kernel_size,
            spec.stride,
            spec.activation,
            spec.use_se,
            spec.has_skip,
            spec.input_size % 2,
        )
        if form not in found or spec.input_size < found[form].input_size:
            found[form] = spec
    return list(found.values())


def perturb(net: nn.Module):
    """Give every batch norm statistics of its own, so that folding is put to the test."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def interpret(model: bytes, x_BCHW):
    interpreter = interpreters.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x_BCHW.transpose(0, 2, 3, 1))
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return (y.transpose(0, 3, 1, 2) if y.ndim == 4 else y), interpreter


@pytest.mark.parametrize("space_name", SPACES)
def test_every_form_of_block_equals_torch(space_name):
    torch.manual_seed(0)
    for spec in one_of_each_form(space_name):
        block = perturb(build_block(spec))
        x = torch.randn(1, spec.in_channels, spec.input_size, spec.input_size)
        with torch.no_grad():
            expected = block(x).numpy()
        came, _ = interpret(write_tflite([fold_block(spec, block)]), x.numpy())
        assert came.shape == expected.shape, spec.key
        assert np.abs(came - expected).max() < 2e-5 * expected.std(), spec.key


@pytest.mark.parametrize("space_name", SPACES)
def test_whole_network_equals_torch(space_name):
    torch.manual_seed(0)
    space = get_space(space_name)
    arch = space.sample(1, np.random.default_rng(3))[0]
    net = perturb(build_subnet(space, arch))
    x = torch.randn(2, space.in_channels, arch.resolution, arch.resolution)
    with torch.no_grad():
        expected = net(x).numpy()
    came, _ = interpret(write_tflite(fold_chain(block_specs(space, arch), net), batch_size=2), x.numpy())
    assert came.shape == (2, space.num_classes)
    assert np.abs(came - expected).max() < 2e-5 * expected.std()


@pytest.mark.parametrize("space_name", SPACES)
def test_xnnpack_takes_a_network_as_one_node(space_name):
    space = get_space(space_name)
    specs = block_specs(space, space.smallest)
    model = write_tflite([random_block(spec) for spec in specs])
    _, interpreter = interpret(
        model, np.zeros((1, space.in_channels, specs[0].input_size, specs[0].input_size), np.float32)
    )
    operations = interpreter._get_ops_details()
    assert [operation["op_name"] for operation in operations].count("DELEGATE") == 1
    assert operations[-1]["outputs"].tolist() == [interpreter.get_output_details()[0]["index"]]


def test_metadata_and_alignment_are_kept():
    from ai_edge_litert import schema_py_generated as schema

    spec = unique_block_specs(get_space("fashion"))[0]
    content = write_tflite([random_block(spec)], metadata={"ofa_hw.arch": '{"resolution": 28}'})
    model = schema.Model.GetRootAs(content)
    entry = model.Metadata(0)
    assert entry.Name() == b"ofa_hw.arch"
    assert model.Buffers(entry.Buffer()).DataAsNumpy().tobytes() == b'{"resolution": 28}'
    assert model.Buffers(0).DataLength() == 0
    whole = np.frombuffer(content, np.uint8)
    for index in range(1, model.BuffersLength()):
        data = model.Buffers(index).DataAsNumpy()
        offset = data.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        assert offset % 16 == 0


def test_blocks_that_do_not_fit_are_refused():
    specs = block_specs(get_space("fashion"), get_space("fashion").smallest)
    blocks = [random_block(spec) for spec in specs]
    with pytest.raises(InvalidInputError, match="must get"):
        write_tflite([blocks[0], blocks[2], blocks[1]])
    with pytest.raises(InvalidInputError, match="at least one block"):
        write_tflite([])
    with pytest.raises(InvalidInputError, match="batch_size"):
        write_tflite(blocks, batch_size=0)


def test_random_weights_follow_from_block_and_seed():
    space = get_space("fashion")
    stem = block_specs(space, space.smallest)[0]
    first, second, other = random_block(stem), random_block(stem), random_block(stem, seed=1)
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert not np.array_equal(first.weights["conv.weight"], other.weights["conv.weight"])
