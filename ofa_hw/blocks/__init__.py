"""The one walk through the network: an architecture becomes a chain of `BlockSpec`, which all else builds on.

`build_subnet` makes modules of these specs, the profilers time them, tables are keyed by them. What a block costs in
MACs, parameters and memory is counted from the same layers that it is built of.
"""

from ofa_hw.blocks.chain import block_specs, blocks_before, num_macs, num_params
from ofa_hw.blocks.layers import Layer, block_layers
from ofa_hw.blocks.size import block_macs, block_params, block_peak_values
from ofa_hw.blocks.spec import KINDS, BlockSpec, hidden_channels
from ofa_hw.blocks.tables import BlockCosts, block_costs, costs_of_blocks, sum_block_costs, unique_block_specs

__all__ = [
    "KINDS",
    "BlockCosts",
    "BlockSpec",
    "Layer",
    "block_costs",
    "block_layers",
    "block_macs",
    "block_params",
    "block_peak_values",
    "block_specs",
    "blocks_before",
    "costs_of_blocks",
    "hidden_channels",
    "num_macs",
    "num_params",
    "sum_block_costs",
    "unique_block_specs",
]
