"""Folded blocks as the modules that are deployed: those of `build_block`, batch norms and all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.nn.static import build_block

_NORM_OF_CONV = {"conv": "bn", "conv_pw": "bn_pw", "conv_dw": "bn_dw", "conv_pwl": "bn_pwl"}


def build_folded(blocks: Sequence[FoldedBlock]) -> nn.Sequential:
    """Return the chain of `blocks` in eval mode; batch norms add the folded biases, and are executed as ever."""
    return nn.Sequential(*(_build(block) for block in blocks)).eval()


def _build(block: FoldedBlock) -> nn.Module:
    module = build_block(block.spec)
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.copy_(torch.from_numpy(block.weights[f"{name}.weight"]))
                bias = block.weights.get(f"{name}.bias")
                if layer.bias is not None:
                    layer.bias.copy_(torch.from_numpy(bias))
                elif bias is not None:
                    norm = getattr(module, _NORM_OF_CONV[name])
                    norm.bias.copy_(torch.from_numpy(bias))
                    norm.running_var.fill_(1 - norm.eps)
    return module
