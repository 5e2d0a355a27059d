"""Slicing equals extraction, and subnets are the chain of their blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ofa_hw.blocks import block_graph, block_specs, num_params
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet, build_block, build_subnet, fold_chain, recalibrate_batch_norm
from ofa_hw.nn.folded_reference import run_blocks
from ofa_hw.space import SearchSpace, StageSpec, get_space, list_spaces


def images_of(space_name: str, resolution: int, num: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num, get_space(space_name).in_channels, resolution, resolution, generator=generator)


@pytest.fixture(scope="module", params=list_spaces())
def trained_a_little(request: pytest.FixtureRequest) -> Supernet:
    """A supernet whose statistics and kernel transforms are no longer those it starts with."""
    torch.set_num_threads(1)
    net = Supernet(get_space(request.param), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if "transform" in name or name.endswith(("bias", "running_mean")):
                tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)) * 0.05)
    return net.eval()


def test_extracted_subnet_equals_supernet(trained_a_little: Supernet) -> None:
    net = trained_a_little
    archs = [*net.space.sample(3, np.random.default_rng(0)), net.space.smallest]
    for arch in archs:
        x_BCHW = images_of(net.space.name, arch.resolution, num=2)
        with torch.no_grad():
            sliced, extracted = net(x_BCHW, arch), net.extract(arch)(x_BCHW)
        torch.testing.assert_close(extracted, sliced, rtol=1e-4, atol=1e-5 * float(sliced.std()))


def test_extracted_subnet_has_the_parameters_of_its_blocks(trained_a_little: Supernet) -> None:
    net = trained_a_little
    arch = net.space.sample(1, np.random.default_rng(3))[0]
    subnet = net.extract(arch)
    assert sum(parameter.numel() for parameter in subnet.parameters()) == num_params(net.space, arch)
    assert all(parameter.requires_grad for parameter in subnet.parameters())
    assert subnet.state_dict().keys() == build_subnet(net.space, arch).state_dict().keys()


def test_subnet_is_the_chain_of_its_blocks() -> None:
    space = get_space("fashion")
    arch = space.sample(1, np.random.default_rng(4))[0]
    subnet = build_subnet(space, arch).eval()
    y = x_BCHW = images_of("fashion", arch.resolution)
    for spec, block in zip(block_specs(space, arch), subnet, strict=True):
        assert type(block) is type(build_block(spec))
        assert y.shape[-1] == spec.input_size
        with torch.no_grad():
            y = block(y)
    with torch.no_grad():
        assert torch.equal(y, subnet(x_BCHW))


def test_training_a_subnet_moves_only_its_own_slices() -> None:
    space = get_space("fashion")
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).train()
    net(images_of("fashion", 20), space.smallest).sum().backward()
    first = net.stages[0][0]
    mid = block_specs(space, space.smallest)[1].mid_channels
    assert first.conv_pw.weight.grad[:mid].abs().sum() > 0
    assert first.conv_pw.weight.grad[mid:].abs().sum() == 0
    assert first.bn_pw.running_mean[mid:].abs().sum() == 0
    assert net.stages[0][1].conv_pw.weight.grad is None


@pytest.mark.parametrize("space_name", list_spaces())
def test_choices_of_kernel_and_depth_start_alike(space_name: str) -> None:
    torch.set_num_threads(1)
    space = get_space(space_name)
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    net.start_alike()
    depths = max(map(space.stage_depths, range(len(space.stages))), key=len)[-2:]
    widest = {"resolution": space.resolutions[0], "expand_ratio": space.expand_ratios[-1]}
    archs = [
        space.uniform_arch(kernel_size=kernel_size, depth=depth, **widest)
        for kernel_size, depth in zip((space.kernel_sizes[0], space.kernel_sizes[-1]), depths, strict=True)
    ]
    x_BCHW = images_of(space_name, space.resolutions[0], num=2)
    with torch.no_grad():
        first, second = (net(x_BCHW, arch) for arch in archs)
    assert first.std() > 0
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4 * float(first.std()))


def test_what_starts_alike_learns_apart() -> None:
    space = get_space("fashion")
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).train()
    net.start_alike()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x_BCHW = images_of("fashion", 20, num=16)
    for _ in range(3):
        optimizer.zero_grad()
        net(x_BCHW).square().sum().backward()
        optimizer.step()
    second = net.stages[0][1]
    assert second.bn_pwl.weight.abs().min() > 0
    assert second.conv_dw.weight[:, :, 0, 0].abs().max() > 0


def test_sorted_largest_network_computes_the_same_and_leads_with_what_matters() -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    x_BCHW = images_of(space.name, 128, num=1)
    with torch.no_grad():
        before = net(x_BCHW)
        net.sort_channels()
        torch.testing.assert_close(net(x_BCHW), before, rtol=1e-3, atol=1e-5 * float(before.std()))
    importance = net.stages[1][0].conv_pwl.weight.abs().sum((0, 2, 3))
    assert (importance[:-1] >= importance[1:]).all()


def mixed_space() -> SearchSpace:
    """Inverted residuals and bottlenecks in one space, with choices of their own and elastic widths."""
    return SearchSpace(
        name="mixed",
        resolutions=(31, 32),
        depths=(1, 2),
        width_ratios=(0.5, 0.75, 1),
        expand_ratios=(2, 3),
        num_classes=10,
        first_channels=0,
        head_expand_channels=32,
        head_channels=24,
        stages=(
            StageSpec(out_channels=32, stride=2, activation="h_swish", use_se=True),
            StageSpec(kind="conv_pool", out_channels=32, stride=1, activation="relu6", kernel_sizes=(5,), depths=(1,)),
            StageSpec(
                kind="bottleneck",
                out_channels=64,
                stride=2,
                activation="h_swish",
                kernel_sizes=(3,),
                expand_ratios=(0.25, 0.5),
            ),
            StageSpec(out_channels=32, stride=1, activation="relu", kernel_sizes=(3, 5)),
        ),
    )


def test_widths_of_both_families_are_sliced_as_they_are_extracted() -> None:
    space = mixed_space()
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    assert SearchSpace.from_dict(space.to_dict()) == space
    for stage in (0, 1):
        before = net(images_of("ofa-resnet50", 32))
        net.sort_channels(stage)
        torch.testing.assert_close(net(images_of("ofa-resnet50", 32)), before, rtol=1e-4, atol=1e-5)
    for arch in space.sample(12, np.random.default_rng(0)):
        x_BCHW = images_of("ofa-resnet50", arch.resolution)
        subnet = net.extract(arch)
        torch.testing.assert_close(subnet(x_BCHW), net(x_BCHW, arch), rtol=1e-4, atol=1e-6)
        assert sum(parameter.numel() for parameter in subnet.parameters()) == num_params(space, arch)
        blocks = fold_chain(block_specs(space, arch), subnet)
        came = run_blocks(blocks, x_BCHW.numpy())
        torch.testing.assert_close(torch.from_numpy(came), subnet(x_BCHW).detach(), rtol=1e-3, atol=1e-5)


def test_recalibration_of_a_supernet_equals_that_of_its_subnet() -> None:
    space = get_space("fashion")
    net = Supernet(space, generator=torch.Generator().manual_seed(0))
    arch = space.sample(1, np.random.default_rng(5))[0]
    batches = [images_of("fashion", arch.resolution, num=num) for num in (8, 5)]
    subnet = net.extract(arch)
    recalibrate_batch_norm(subnet, batches)
    untouched = net.stages[0][0].bn_pw.running_var[-1].clone()
    recalibrate_batch_norm(net, batches, arch)
    for key, tensor in net.extract(arch).state_dict().items():
        torch.testing.assert_close(tensor, subnet.state_dict()[key])
    if block_specs(space, arch)[1].mid_channels < net.stages[0][0].bn_pw.num_features:
        assert net.stages[0][0].bn_pw.running_var[-1] == untouched


def test_recalibrated_statistics_are_the_weighted_mean_of_biased_variances() -> None:
    norm = torch.nn.BatchNorm2d(1)
    first, second = (
        torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1),
        torch.tensor([5.0]).reshape(1, 1, 1, 1).expand(1, 1, 1, 2),
    )
    recalibrate_batch_norm(norm, [first, second])
    # means 1 and 5, biased variances 1 and 0, weights 2 and 1
    torch.testing.assert_close(norm.running_mean, torch.tensor([7 / 3]))
    torch.testing.assert_close(norm.running_var, torch.tensor([2 / 3]))
    assert norm.momentum == 0.1


def test_recalibration_without_images_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one batch"):
        recalibrate_batch_norm(torch.nn.BatchNorm2d(2), [])


def test_folded_weights_have_the_shapes_of_their_blocks(trained_a_little: Supernet) -> None:
    net = trained_a_little
    specs = block_specs(net.space, net.space.smallest)
    folded = fold_chain(specs, net.extract(net.space.smallest))
    assert [block.spec for block in folded] == list(specs)


def test_twins_share_their_weights_and_nothing_else() -> None:
    space = get_space("fashion")
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).train()
    twin = net.twin()
    assert [p.data_ptr() for p in twin.parameters()] == [p.data_ptr() for p in net.parameters()]
    twin(images_of("fashion", 28)).sum().backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert net.before[0].bn.num_batches_tracked == 0
    net.sort_channels()
    x_BCHW = images_of("fashion", 28)
    assert torch.equal(net(x_BCHW), twin(x_BCHW))


def test_a_submodule_that_is_replaced_takes_effect_at_once() -> None:
    space = get_space("fashion")
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    x_BCHW = images_of("fashion", 28)
    with torch.no_grad():
        before = net(x_BCHW)
        block = net.stages[0][0]
        block.bn_pwl = torch.nn.Identity()
        block.conv_pw = torch.nn.Conv2d(16, block.conv_pw.out_channels, 1, bias=False)
        after = net(x_BCHW)
        assert not torch.equal(after, before)
        assert torch.equal(block.weight_of(block_graph(block.spec).layers[0]), block.conv_pw.weight)
