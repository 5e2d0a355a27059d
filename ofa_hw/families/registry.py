"""How families are found by their names: those of this folder, and those that other packages bring."""

from __future__ import annotations

import functools
from typing import Any

from ofa_hw.entry_points import bring, bring_all, names_of
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import bottleneck, classifier, conv, conv_pool, dsconv, head, mbconv, normed_head, uib
from ofa_hw.families.family import Family
from ofa_hw.families.graph import BlockGraph, GraphBuilder
from ofa_hw.families.spec import BlockSpec

GROUP = "ofa_hw.families"
"""Each entry is a `Family` of the entry's name."""

_MODULES = (conv, conv_pool, dsconv, mbconv, uib, bottleneck, head, normed_head, classifier)

STEM, FIRST, STAGE, HEAD, CLASSIFIER = (module.FAMILY.name for module in (conv, dsconv, mbconv, head, classifier))
"""The families of the fixed places of a network; a space may name others for stages and head."""


@functools.cache
def _own() -> dict[str, Family]:
    return {module.FAMILY.name: module.FAMILY for module in _MODULES}


@functools.cache
def _brought() -> dict[str, Family]:
    return bring_all(GROUP, _checked)


def _checked(name: str, family: Any) -> Family:
    if not isinstance(family, Family) or family.name != name:
        raise InvalidInputError(f"the entry point {name} of {GROUP} must be a Family of that name; came {family!r}")
    return family


def list_families() -> tuple[str, ...]:
    """Return the names of all families."""
    # A plug-in cannot take one of our names.
    return (*_own(), *(name for name in _brought() if name not in _own()))


@functools.cache
def get_family(name: str) -> Family:
    """Return the family of this name.

    Raises:
        InvalidInputError: there is none; the message lists the names.
    """
    if name in _own():
        return _own()[name]
    if name in _brought():
        return _brought()[name]
    if name in names_of(GROUP):
        return bring(GROUP, name, _checked)  # which says what is wrong with it
    raise InvalidInputError(f"kind must be one of {', '.join(list_families())}; came {name!r}")


def family_of(spec: BlockSpec) -> Family:
    """Return the family of a block; InvalidInputError where its kind is unknown."""
    return get_family(spec.kind)


@functools.lru_cache(maxsize=8192)
def block_graph(spec: BlockSpec) -> BlockGraph:
    """Return the graph of a block.

    Raises:
        InvalidInputError: its kind is unknown.
    """
    builder = GraphBuilder(spec)
    family_of(spec).build(builder, spec)
    return builder.build()
