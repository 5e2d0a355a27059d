"""How large a block is: multiply-accumulates, parameters, the activations that are alive at once."""

from __future__ import annotations

from ofa_hw.families import BlockSpec, block_graph


def block_macs(spec: BlockSpec) -> int:
    """Return the multiply-accumulates of convolutions and linear layers on one image."""
    return sum(layer.num_macs for layer in block_graph(spec).layers)


def block_params(spec: BlockSpec) -> int:
    """Return the learnt parameters, batch norm's scale and shift counted, its statistics not."""
    return sum(layer.num_params for layer in block_graph(spec).layers)


def block_peak_values(spec: BlockSpec) -> int:
    """Return the largest number of activation values that are alive at once in the block, for one image.

    A value lives from the operation that writes it to the last that reads it; sums, products and gates are computed
    in the place of an input that dies there.
    """
    return block_graph(spec).peak_values


def largest_kernel(spec: BlockSpec) -> int:
    """Return the largest kernel size of the block's layers."""
    return max(layer.kernel_size for layer in block_graph(spec).layers)
