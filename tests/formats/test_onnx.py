import numpy as np
import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.onnx_model import write_onnx
from ofa_hw.nn.folded_reference import run_blocks
from ofa_hw.space import get_space

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("space_name", ["fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_network_is_sound_and_equals_torch(space_name):
    space = get_space(space_name)
    arch = space.sample(1, np.random.default_rng(3))[0]
    blocks = [random_block(spec) for spec in block_specs(space, arch)]
    model = write_onnx(blocks, batch_size=2, metadata={"ofa_hw.arch": "{}"})
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal(session.get_inputs()[0].shape, np.float32)
    (logits,) = session.run(["output"], {"input": x})
    expected = run_blocks(blocks, x)
    assert logits.shape == (2, space.num_classes)
    assert np.abs(logits - expected).max() < 2e-5 * expected.std()
    assert session.get_modelmeta().custom_metadata_map == {"ofa_hw.arch": "{}"}


def test_bad_batch_size_is_refused():
    blocks = [random_block(block_specs(get_space("fashion"), get_space("fashion").smallest)[0])]
    with pytest.raises(InvalidInputError, match="batch_size"):
        write_onnx(blocks, batch_size=0)
