"""From modules to plain arrays: batch norm folded into the convolution before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ofa_hw.blocks import BlockSpec, block_graph
from ofa_hw.formats.folded import FoldedBlock


def fold_block(spec: BlockSpec, block: nn.Module) -> FoldedBlock:
    """Return the weights of `block`, a module of `build_block(spec)`, as they act in eval mode.

    Folding is done in float64 and rounded once to float32.
    """
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for layer in block_graph(spec).layers:
        module = block.get_submodule(layer.name)
        weight = module.weight.detach().double()
        bias = None if module.bias is None else module.bias.detach().double()
        if layer.norm:
            norm = block.get_submodule(layer.norm)
            scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
            # Families give a layer with a batch norm no bias of its own, so there is none to fold.
            weight = weight * scale.reshape(-1, 1, 1, 1)
            bias = norm.bias.detach().double() - norm.running_mean.double() * scale
        weights[f"{layer.name}.weight"] = weight.float().contiguous().numpy()
        if bias is not None:
            weights[f"{layer.name}.bias"] = bias.float().numpy()
    return FoldedBlock(spec=spec, weights=weights)


def fold_chain(specs: Sequence[BlockSpec], chain: nn.Sequential) -> tuple[FoldedBlock, ...]:
    """Return each block of `chain`, a network of `build_subnet` or `build_chain(specs)`, folded."""
    return tuple(fold_block(spec, block) for spec, block in zip(specs, chain, strict=True))
