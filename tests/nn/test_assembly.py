"""A block of ready weights is the block that is constructed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec, block_specs, unique_block_specs
from ofa_hw.nn import build_block
from ofa_hw.nn.assembly import assemble_block
from ofa_hw.space import get_space


def one_of_each_form() -> list[BlockSpec]:
    found = {}
    for name in ("fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50"):
        space = get_space(name)
        for spec in unique_block_specs(space, space.resolutions[:1]):
            found.setdefault((spec.kind, spec.use_se, spec.stride, spec.has_skip, bool(spec.mid_channels)), spec)
    return list(found.values())


def attributes_of(module: nn.Module) -> dict[str, Any]:
    return {
        name: {key: tuple(value.shape) if isinstance(value, Tensor) else type(value) for key, value in held.items()}
        if isinstance(held, dict)
        else held
        for name, held in vars(module).items()
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("spec", one_of_each_form(), ids=lambda spec: spec.key)
def test_assembled_block_equals_the_constructed_one(spec: BlockSpec, training: bool) -> None:
    constructed = build_block(spec, bn_eps=1e-3, bn_momentum=0.2).train(training)
    weights = {key: tensor.clone() for key, tensor in constructed.state_dict().items()}
    assembled = assemble_block(spec, weights, bn_eps=1e-3, bn_momentum=0.2, training=training)
    for (name, wanted), (its_name, found) in zip(constructed.named_modules(), assembled.named_modules(), strict=True):
        assert (its_name, type(found), attributes_of(found)) == (name, type(wanted), attributes_of(wanted))
    assert all(tensor.data_ptr() == weights[key].data_ptr() for key, tensor in assembled.state_dict().items())
    assert [p.requires_grad for p in assembled.parameters()] == [p.requires_grad for p in constructed.parameters()]
    shape = (2, spec.in_channels, spec.input_size, spec.input_size)
    x_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(assembled(x_BCHW), constructed(x_BCHW), rtol=0, atol=0)


def test_assembled_blocks_share_nothing_that_changes() -> None:
    space = get_space("fashion")
    spec = block_specs(space, space.smallest)[1]

    def assemble() -> nn.Module:
        weights = build_block(spec).state_dict()
        return assemble_block(spec, weights, bn_eps=1e-5, bn_momentum=0.1, training=True)

    first, second = assemble(), assemble()
    seen = []
    first.bn_dw.register_forward_hook(lambda *_: seen.append("first"))
    first.bn_pw = nn.Identity()
    first.eval()
    second(torch.zeros(2, spec.in_channels, spec.input_size, spec.input_size))
    assert (seen, second.training, second.bn_dw.training) == ([], True, True)
    assert isinstance(second.bn_pw, nn.BatchNorm2d)
    assert isinstance(copy.deepcopy(second).bn_pw, nn.BatchNorm2d)
