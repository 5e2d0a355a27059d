"""Blocks put together from ready weights, for subnets that are cut by the thousand.

To construct a layer costs torch more than to copy its weights: it allocates and initialises what is thrown away. Here a
block of each form is constructed once, without weights, and its modules are copied with the weights put in.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.static import build_block


def assemble_block(
    spec: BlockSpec, weights: Mapping[str, Tensor], *, bn_eps: float, bn_momentum: float, training: bool
) -> nn.Module:
    """Return a module like that of `build_block(spec)` which holds the tensors `weights` themselves.

    `weights` has each name of the block's state dict, shapes as `spec` asks.
    """
    any_size = dataclasses.replace(spec, input_size=1)
    return _filled(_empty_block(any_size, bn_eps, bn_momentum, training), weights, "")


@functools.lru_cache(maxsize=512)
def _empty_block(spec: BlockSpec, bn_eps: float, bn_momentum: float, training: bool) -> nn.Module:
    with torch.device("meta"):
        return build_block(spec, bn_eps=bn_eps, bn_momentum=bn_momentum).train(training)


_OWN = (dict, set)
"""What each module has for itself: its tensors, its children, its hooks."""


def _filled(empty: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> nn.Module:
    """Return a copy of the module `empty` whose tensors are `weights`."""
    attributes = {name: value.copy() if isinstance(value, _OWN) else value for name, value in vars(empty).items()}
    for name, parameter in empty._parameters.items():
        if parameter is not None:
            attributes["_parameters"][name] = nn.Parameter(weights[prefix + name])
    for name in empty._buffers:
        attributes["_buffers"][name] = weights[prefix + name]
    for name, child in empty._modules.items():
        if child is not None:
            attributes["_modules"][name] = _filled(child, weights, f"{prefix}{name}.")
    module: nn.Module = object.__new__(type(empty))
    vars(module).update(attributes)
    return module
