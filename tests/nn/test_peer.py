"""The supernets against PyPI's `ofa`, on random weights and random subnets; skipped where it is not installed.

Width 1.0 of MobileNetV3 has recorded answers, in test_published.py.
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import once_for_all as peer
from ofa_hw.blocks import num_macs, num_params
from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.nn.published import from_published
from ofa_hw.space import ArchConfig, get_space

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ofa") is None,
    reason="PyPI's ofa is not installed: pip install --no-deps ofa==0.1.0.post202307202001",
)

NUM_KEYS = {"ofa-mobilenetv3-w1.2": 475, "ofa-proxyless-w1.3": 446, "ofa-resnet50": 368}
NUM_PARAMS = {"ofa-proxyless-w1.3": 7_956_882, "ofa-resnet50": 48_105_992}


@pytest.fixture(scope="module", params=NUM_KEYS)
def state(request: pytest.FixtureRequest) -> tuple[str, dict[str, Tensor]]:
    """The name of a space and weights for it, none of which are those that a network starts with."""
    torch.set_num_threads(1)
    torch.manual_seed(len(request.param))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = peer.make_peer(request.param)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        for name, parameter in net.named_parameters():
            if name.endswith("_matrix"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return request.param, net.state_dict()


@pytest.fixture
def pair(state: tuple[str, dict[str, Tensor]]) -> tuple[Supernet, nn.Module]:
    """Our supernet and the peer's on the same weights."""
    name, weights = state
    ours, theirs = Supernet(get_space(name)), peer.make_peer(name)
    theirs.load_state_dict(weights)
    ours.load_published(weights)
    return ours.eval(), theirs.eval()


def images(arch: ArchConfig, num: int = 2) -> Tensor:
    return torch.randn(num, 3, arch.resolution, arch.resolution, generator=torch.Generator().manual_seed(1))


def archs_of(net: Supernet, num: int, *, seed: int, largest_resolution: int = 176) -> list[ArchConfig]:
    """Random architectures, none so large that the test takes long."""
    drawn = net.space.sample(20 * num, np.random.default_rng(seed))
    return [arch for arch in drawn if arch.resolution <= largest_resolution][:num]


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.std())


def test_every_key_is_used(state: tuple[str, dict[str, Tensor]]) -> None:
    name, weights = state
    net = Supernet(get_space(name))
    assert set(from_published(net.space, weights)) == set(net.state_dict())
    assert len(weights) == NUM_KEYS[name]
    if name in NUM_PARAMS:
        assert sum(parameter.numel() for parameter in net.parameters()) == NUM_PARAMS[name]


@torch.no_grad()
def test_logits_and_sizes_of_random_subnets_are_equal(pair: tuple[Supernet, nn.Module]) -> None:
    ours, theirs = pair
    for arch in [*archs_of(ours, 3, seed=5), ours.space.smallest]:
        subnet = peer.cut_out(theirs, arch).eval()
        macs: list[int] = []
        for module in subnet.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(
                    lambda module, _, output, macs=macs: macs.append(output[0].numel() * module.weight[0].numel())
                )
        wanted = subnet(images(arch, num=1))
        assert distance(ours(images(arch, num=1), arch), wanted) < 1e-4
        assert num_macs(ours.space, arch) == sum(macs)
        assert num_params(ours.space, arch) == sum(parameter.numel() for parameter in subnet.parameters())


@torch.no_grad()
@pytest.mark.parametrize("num_sorts", [1, 3])
def test_sorted_channels_give_equal_logits(pair: tuple[Supernet, nn.Module], num_sorts: int) -> None:
    ours, theirs = pair
    for stage in range(num_sorts):
        ours.sort_channels(stage)
        theirs.re_organize_middle_weights(expand_ratio_stage=stage)
    # In float32 the new order of the sums alone moves logits. Of later sorts the peer rounds importances to 1/32, which
    # changes the order inside a band: where widths end on bands, that is at full stage width, no subnet sees it.
    ours.double(), theirs.double()
    archs = archs_of(ours, 2, seed=6)
    if num_sorts > 1 and ours.space.has_elastic_width:
        archs = [
            ours.space.uniform_arch(resolution=128, kernel_size=3, expand_ratio=ratio, depth=2)
            for ratio in ours.space.expand_ratios
        ]
    for arch in archs:
        peer.choose(theirs, arch)
        x_BCHW = images(arch, num=1).double()
        assert distance(ours(x_BCHW, arch), theirs(x_BCHW)) < 1e-6


@torch.no_grad()
def test_recalibrated_subnets_give_equal_logits(pair: tuple[Supernet, nn.Module]) -> None:
    ours, theirs = pair
    arch = archs_of(ours, 1, seed=7, largest_resolution=144)[0]
    batches = [images(arch, num=num) for num in (6, 3)]
    peer.choose(theirs, arch)
    peer.recalibrate(theirs, batches)
    recalibrate_batch_norm(ours, batches, arch)
    assert distance(ours(images(arch), arch), theirs(images(arch))) < 1e-3


def test_one_training_step_moves_every_weight_and_statistic_alike(pair: tuple[Supernet, nn.Module]) -> None:
    ours, theirs = pair[0].train(), pair[1].train()
    arch = archs_of(ours, 1, seed=8, largest_resolution=144)[0]
    x_BCHW, labels = images(arch, num=4), torch.arange(4)
    form = {"lr": 0.05, "momentum": 0.9, "nesterov": True}
    optimizer = torch.optim.SGD(ours.parameters(), **form)
    F.cross_entropy(ours(x_BCHW, arch), labels, label_smoothing=0.1).backward()
    optimizer.step()
    before = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    peer.train_step(theirs, None, [arch], x_BCHW, labels, torch.optim.SGD(theirs.parameters(), **form))
    wanted, start = (from_published(ours.space, state) for state in (theirs.state_dict(), before))
    num_moved = 0
    for key, tensor in ours.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        moved = (wanted[key] - start[key]).abs().max()
        assert (tensor - wanted[key]).abs().max() <= 1e-6 + 2e-3 * moved, key
        num_moved += bool(moved > 0)
    assert num_moved > len(start) / 4
