"""How large a block is: multiply-accumulates, parameters, the activations that are alive at once."""

from __future__ import annotations

from ofa_hw.families import BlockSpec, block_graph


def block_macs(spec: BlockSpec) -> int:
    """Return the multiply-accumulates of convolutions and linear layers on one image; other operations count as 0."""
    return sum(layer.num_macs for layer in block_graph(spec).layers)


def block_params(spec: BlockSpec) -> int:
    """Return the number of learnt parameters: batch norm's scale and shift count, its statistics do not."""
    return sum(layer.num_params for layer in block_graph(spec).layers)


def block_peak_values(spec: BlockSpec) -> int:
    """Return the largest number of activation values that are alive at once in the block, for one image.

    A value lives from the operation that writes it to the last that reads it. Sums, products and h-sigmoids overwrite
    an input of their own size that nothing reads later.
    """
    return block_graph(spec).peak_values


def largest_kernel(spec: BlockSpec) -> int:
    """Return the largest kernel size of the block's layers."""
    return max(layer.kernel_size for layer in block_graph(spec).layers)
