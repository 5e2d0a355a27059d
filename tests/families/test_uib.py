"""Universal inverted bottlenecks, and the space of MobileNetV4's small network."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from ofa_hw.blocks import block_specs, num_macs, num_params
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet, build_subnet
from ofa_hw.space import ArchConfig, BlockChoice, SearchSpace, get_space
from tests.families.timm_models import import_timm, randomised

SPACE = "mobilenetv4-conv-small"


def own_architecture(space: SearchSpace) -> ArchConfig:
    """MobileNetV4-Conv-S as published (arXiv 2404.10518, table 11)."""
    starts = ((5, 0, 0, 0, 0, 3), (3, 5, 0, 0, 0, 0))
    kernels = ((5, 3, 3, 3, 3, 0), (3, 5, 5, 5, 3, 3))
    ratios = ((3, 2, 2, 2, 2, 4), (6, 4, 4, 3, 4, 4))
    plain = [(BlockChoice(kernel_size=size, expand_ratio=1),) for size in (3, 1, 3, 1)]
    universal = [
        tuple(
            BlockChoice(start_kernel_size=start, kernel_size=kernel, expand_ratio=ratio)
            for start, kernel, ratio in zip(*rows, strict=True)
        )
        for rows in zip(starts, kernels, ratios, strict=True)
    ]
    arch = ArchConfig(resolution=224, stages=(*plain, *universal))
    space.validate(arch)
    return arch


def our_name(key: str) -> str:
    """The name of a weight of timm's network in ours: a chain of stem, blocks, head, classifier."""
    for pattern, ours in (
        (r"conv_stem\.(.*)", r"0.conv.\1"),
        (r"bn1\.(.*)", r"0.bn.\1"),
        (r"blocks\.([01])\.([01])\.conv\.(.*)", lambda m: f"{1 + 2 * int(m[1]) + int(m[2])}.conv.{m[3]}"),
        (r"blocks\.([01])\.([01])\.bn1\.(.*)", lambda m: f"{1 + 2 * int(m[1]) + int(m[2])}.bn.{m[3]}"),
        (r"blocks\.([23])\.(\d)\.(.*)", lambda m: f"{5 + 6 * (int(m[1]) - 2) + int(m[2])}.{m[3]}"),
        (r"blocks\.4\.0\.conv\.(.*)", r"17.conv.\1"),
        (r"blocks\.4\.0\.bn1\.(.*)", r"17.bn.\1"),
        (r"conv_head\.(.*)", r"17.mix.\1"),
        (r"norm_head\.(.*)", r"17.bn_mix.\1"),
        (r"classifier\.(.*)", r"18.linear.\1"),
    ):
        if re.fullmatch(pattern, key):
            return re.sub(pattern, ours, key)
    raise AssertionError(key)


def test_timms_network_gives_our_logits_at_the_spaces_own_architecture() -> None:
    timm = import_timm()
    torch.manual_seed(0)
    theirs = randomised(timm.create_model("mobilenetv4_conv_small"))
    space = get_space(SPACE)
    ours = build_subnet(space, own_architecture(space)).eval()
    ours.load_state_dict({our_name(key): tensor for key, tensor in theirs.state_dict().items()})
    x_BCHW = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected, found = theirs(x_BCHW), ours(x_BCHW)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert num_params(space, own_architecture(space)) == sum(p.numel() for p in theirs.parameters())


def test_its_own_architecture_has_the_published_size() -> None:
    space = get_space(SPACE)
    arch = own_architecture(space)
    assert round(num_params(space, arch) / 1e6, 1) == 3.8
    assert round(num_macs(space, arch) / 1e9, 1) == 0.2


@pytest.mark.parametrize(
    ("start", "kernel", "layers"),
    [
        (5, 3, ["dw_start.conv", "pw_exp.conv", "dw_mid.conv", "pw_proj.conv"]),
        (0, 3, ["pw_exp.conv", "dw_mid.conv", "pw_proj.conv"]),
        (5, 0, ["dw_start.conv", "pw_exp.conv", "pw_proj.conv"]),
        (0, 0, ["pw_exp.conv", "pw_proj.conv"]),
    ],
)
def test_kernels_of_none_make_the_four_blocks_of_the_paper(start: int, kernel: int, layers: list[str]) -> None:
    from ofa_hw.blocks import block_graph

    space = get_space(SPACE)
    arch = own_architecture(space)
    choice = BlockChoice(start_kernel_size=start, kernel_size=kernel, expand_ratio=2)
    stages = (*arch.stages[:4], (arch.stages[4][0], choice, choice), arch.stages[5])
    spec = block_specs(space, dataclasses.replace(arch, stages=stages))[6]
    assert [layer.name for layer in block_graph(spec).layers] == layers
    assert f"-k{kernel}-" in spec.key
    assert spec.key.endswith(f"-start_kernel_size{start}")


def test_a_block_with_a_stride_keeps_its_middle_convolution() -> None:
    space = get_space(SPACE)
    firsts = [index for index, rank in enumerate(space.position_ranks) if rank == 0][-2:]
    assert [space.position_values[position]["kernel_size"] for position in firsts] == [(3, 5)] * 2
    assert all(0 in space.position_values[position + 1]["kernel_size"] for position in firsts)
    arch = own_architecture(space)
    without = BlockChoice(start_kernel_size=3, kernel_size=0, expand_ratio=2)
    with pytest.raises(InvalidInputError, match=r"kernel size must be one of \(3, 5\)"):
        space.validate(dataclasses.replace(arch, stages=(*arch.stages[:4], (without,) * 3, arch.stages[5])))


def test_kernels_depths_and_missing_convolutions_start_alike() -> None:
    space = get_space(SPACE)
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    net.start_alike()
    arch = own_architecture(space)
    first = BlockChoice(start_kernel_size=5, kernel_size=5, expand_ratio=6)
    x_BCHW = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    logits = []
    for start, kernel in ((0, 3), (3, 5), (5, 3), (5, 5)):
        block = BlockChoice(start_kernel_size=start, kernel_size=kernel, expand_ratio=6)
        other = BlockChoice(start_kernel_size=start, kernel_size=0, expand_ratio=6)
        stages = (*arch.stages[:4], (block, first, other), (first, first, other, block)[: 3 + (start == 5)])
        with torch.no_grad():
            logits.append(net(x_BCHW, ArchConfig(resolution=128, stages=stages)))
    for other in logits[1:]:
        torch.testing.assert_close(other, logits[0], rtol=1e-3, atol=1e-3 * float(logits[0].std()))


def test_genes_are_found_by_the_names_of_choices() -> None:
    space = get_space(SPACE)
    genes = space.encode([own_architecture(space)])[0]
    starts = genes[space.columns["start_kernel_size"]]
    assert [(0, 3, 5)[index] for index in starts] == [5, 0, 0, 0, 0, 3, 3, 5, 0, 0, 0, 0]
    assert len(space.columns["kernel_size"]) == 4 + 12
    assert space.decode(genes[None]) == [own_architecture(space)]
    assert ArchConfig.from_json(own_architecture(space).to_json()) == own_architecture(space)
    archs = space.sample(200, np.random.default_rng(0))
    assert space.decode(space.encode(archs)) == archs
