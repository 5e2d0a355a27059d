"""Blocks put together from ready weights, for subnets that are cut by the thousand.

Constructing a layer takes torch longer than copying its weights: it allocates and initialises tensors that are then
thrown away. Here a block of each form is constructed once, without weights, and serves as the mould of all others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec
from ofa_hw.nn.block import build_block


def assemble_block(
    spec: BlockSpec, weights: Mapping[str, Tensor], *, bn_eps: float, bn_momentum: float, training: bool
) -> nn.Module:
    """Return a module like that of `build_block(spec)` whose tensors are those of `weights`, not copies.

    `weights` has each name of the block's state dict, with the shapes that `spec` asks for.
    """
    # Weights do not depend on the size of the input, so that blocks of all sizes share a mould.
    any_size = dataclasses.replace(spec, input_size=1)
    block = _cast(_mould(any_size, bn_eps, bn_momentum, training), weights)
    block.spec = spec
    return block


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Mould:
    """What a module is made of beside its tensors.

    `plain` are attributes that all copies share; `own` makes those that each copy needs for itself: hooks, and dicts of
    tensors and children. Each tensor has its name in the module and its name in the block's state dict.
    """

    kind: type[nn.Module]
    plain: Mapping[str, object]
    own: tuple[tuple[str, Callable[[], object]], ...]
    parameters: tuple[tuple[str, str], ...]
    buffers: tuple[tuple[str, str], ...]
    children: tuple[tuple[str, _Mould], ...]


@functools.lru_cache(maxsize=512)
def _mould(spec: BlockSpec, bn_eps: float, bn_momentum: float, training: bool) -> _Mould:
    # On the meta device tensors have shapes but no memory, and are not initialised.
    with torch.device("meta"):
        return _mould_of(build_block(spec, bn_eps=bn_eps, bn_momentum=bn_momentum).train(training), "")


def _mould_of(module: nn.Module, prefix: str) -> _Mould:
    attributes = vars(module)
    own = {name: value for name, value in attributes.items() if isinstance(value, dict | set)}
    return _Mould(
        kind=type(module),
        plain={name: value for name, value in attributes.items() if name not in own},
        # torch keeps hooks, parameters, buffers and children in dicts and sets.
        own=tuple((name, value.copy if value else type(value)) for name, value in own.items()),
        parameters=tuple((name, prefix + name) for name, value in module._parameters.items() if value is not None),
        buffers=tuple((name, prefix + name) for name in module._buffers),
        children=tuple((name, _mould_of(child, f"{prefix}{name}.")) for name, child in module.named_children()),
    )


def _cast(mould: _Mould, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a module from `mould` whose tensors are `weights`."""
    # Not by `__init__`, which would allocate the weights.
    module: nn.Module = object.__new__(mould.kind)
    attributes = vars(module)
    attributes.update(mould.plain)
    for name, make in mould.own:
        attributes[name] = make()
    for name, key in mould.parameters:
        attributes["_parameters"][name] = nn.Parameter(weights[key])
    for name, key in mould.buffers:
        attributes["_buffers"][name] = weights[key]
    for name, child in mould.children:
        attributes["_modules"][name] = _cast(child, weights)
    return module
