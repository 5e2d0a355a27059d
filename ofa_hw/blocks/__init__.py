"""The one walk through the network: an architecture becomes a chain of `BlockSpec`, which everything else builds on.

`build_subnet` makes modules from these specs, profilers time them, tables are keyed by them. The MACs, parameters and
memory of a block are counted from its graph.
"""

from ofa_hw.blocks.chain import block_specs, blocks_before, num_macs, num_params
from ofa_hw.blocks.size import block_macs, block_params, block_peak_values, largest_kernel
from ofa_hw.blocks.tables import BlockCosts, block_costs, costs_of_blocks, sum_block_costs, unique_block_specs
from ofa_hw.families import BlockSpec, block_graph

__all__ = [
    "BlockCosts",
    "BlockSpec",
    "block_costs",
    "block_graph",
    "block_macs",
    "block_params",
    "block_peak_values",
    "block_specs",
    "blocks_before",
    "costs_of_blocks",
    "largest_kernel",
    "num_macs",
    "num_params",
    "sum_block_costs",
    "unique_block_specs",
]
