"""Families of blocks, one file each: the graph of layers, the elastic choices, and all else that differs by family.

Everything else is derived from the graph: multiply-accumulates, parameters, memory, static and elastic modules, channel
sorting, folded weights, model files. Other packages bring families by the entry-point group `ofa_hw.families`.
"""

from ofa_hw.families.choice import Choice
from ofa_hw.families.family import Family, PublishedName
from ofa_hw.families.graph import ACTIVATIONS, BlockGraph, GraphBuilder, Layer, make_divisible
from ofa_hw.families.registry import block_graph, family_of, get_family, list_families
from ofa_hw.families.spec import BlockSpec

__all__ = [
    "ACTIVATIONS",
    "BlockGraph",
    "BlockSpec",
    "Choice",
    "Family",
    "GraphBuilder",
    "Layer",
    "PublishedName",
    "block_graph",
    "family_of",
    "get_family",
    "list_families",
    "make_divisible",
]
