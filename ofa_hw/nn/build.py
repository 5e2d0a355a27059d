"""A subnet as a network of its own: the chain of its blocks, and nothing that knows of a supernet."""

from __future__ import annotations

from torch import nn

from ofa_hw.blocks import BlockSpec, block_specs
from ofa_hw.nn.block import build_block
from ofa_hw.space import ArchConfig, SearchSpace


def build_chain(specs: tuple[BlockSpec, ...], *, bn_eps: float = 1e-5, bn_momentum: float = 0.1) -> nn.Sequential:
    """Return the blocks of `specs` one after the other, their weights as torch initialises them."""
    return nn.Sequential(*(build_block(spec, bn_eps=bn_eps, bn_momentum=bn_momentum) for spec in specs))


def build_subnet(space: SearchSpace, arch: ArchConfig) -> nn.Sequential:
    """Return `arch` as a network: (n, in_channels, resolution, resolution) to logits (n, num_classes).

    Its entries are the modules of `block_specs(space, arch)`, in that order.
    """
    return build_chain(block_specs(space, arch), bn_eps=space.bn_eps, bn_momentum=space.bn_momentum)
