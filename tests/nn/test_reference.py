import numpy as np
import pytest
import torch

from ofa_hw.blocks import block_specs
from ofa_hw.nn.build import build_subnet
from ofa_hw.nn.folded_reference import run_blocks, run_blocks_with_values
from ofa_hw.nn.folding import fold_chain
from ofa_hw.space import get_space


@pytest.mark.parametrize("space_name", ["fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_folded_blocks_compute_what_the_network_computes(space_name):
    torch.manual_seed(0)
    space = get_space(space_name)
    net = build_subnet(space, space.smallest).eval()
    x = torch.randn(2, space.in_channels, space.smallest.resolution, space.smallest.resolution)
    with torch.no_grad():
        expected = net(x).numpy()
    blocks = fold_chain(block_specs(space, space.smallest), net)
    assert np.abs(run_blocks(blocks, x.numpy()) - expected).max() < 1e-5 * expected.std()


def test_values_between_operations_are_told():
    space = get_space("fashion")
    blocks = fold_chain(block_specs(space, space.smallest), build_subnet(space, space.smallest).eval())
    x = np.zeros((1, 1, 20, 20), np.float32)
    output, values = run_blocks_with_values(blocks, x)
    assert values["input"] is not None
    assert values["0.conv"].shape == (1, 16, 10, 10)
    assert np.array_equal(values[f"{len(blocks) - 1}.linear"], output)
