"""Folded blocks as the modules that are deployed: those of `build_block`, batch norms and all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ofa_hw.blocks import block_graph
from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.nn.block import build_block


def build_folded(blocks: Sequence[FoldedBlock]) -> nn.Sequential:
    """Return the chain of `blocks` in eval mode; batch norms only add the folded biases, but are executed as ever."""
    return nn.Sequential(*(_build(block) for block in blocks)).eval()


def _build(block: FoldedBlock) -> nn.Module:
    module = build_block(block.spec)
    with torch.no_grad():
        for layer in block_graph(block.spec).layers:
            part = module.get_submodule(layer.name)
            part.weight.copy_(torch.from_numpy(block.weights[f"{layer.name}.weight"]))  # type: ignore[operator]
            if layer.norm or layer.has_bias:
                biased = module.get_submodule(layer.norm or layer.name)
                biased.bias.copy_(torch.from_numpy(block.weights[f"{layer.name}.bias"]))  # type: ignore[operator]
            if layer.norm:
                norm = module.get_submodule(layer.norm)
                # With weight 1 and mean 0 the norm then divides by 1, and its bias is the folded one.
                norm.running_var.fill_(1 - norm.eps)  # type: ignore[operator]
    return module
