"""How large a block is: multiply-accumulates, parameters, the activations that are alive at once."""

from __future__ import annotations

from ofa_hw.blocks.layers import block_layers
from ofa_hw.blocks.spec import BlockSpec


def block_macs(spec: BlockSpec) -> int:
    """Return the multiply-accumulates of convolutions and linear layers on one image."""
    return sum(layer.num_macs for layer in block_layers(spec))


def block_params(spec: BlockSpec) -> int:
    """Return the learnt parameters, batch norm's scale and shift counted, its statistics not."""
    return sum(layer.num_params for layer in block_layers(spec))


def block_peak_values(spec: BlockSpec) -> int:
    """Return the largest number of activation values that are alive at once in the block, for one image.

    At each layer its input, its output and, where there is a shortcut, the block's input are alive.
    """
    area_in, area_out = spec.input_size**2, spec.output_size**2
    size_in, size_out = spec.in_channels * area_in, spec.out_channels * area_out
    if spec.kind == "conv_pool":
        return spec.out_channels * area_in + max(size_in, size_out)
    if spec.kind in ("conv", "classifier"):
        return size_in + size_out
    if spec.kind == "head":
        return size_in + (spec.mid_channels or spec.out_channels) * area_in
    filtering = spec.mid_channels * (area_in + area_out)
    filtered = spec.mid_channels * area_out
    if spec.kind == "bottleneck":
        at_shortcut = 0 if spec.has_skip else _shortcut_values(size_in, size_out, spec)
        return max(size_in + filtering, size_in + filtered + size_out, at_shortcut)
    kept = size_in if spec.has_skip else 0
    at_expand = size_in + spec.mid_channels * area_in if spec.kind == "mbconv" else 0
    at_depthwise = filtering + (kept if spec.kind == "mbconv" else 0)
    return max(at_expand, at_depthwise, filtered + size_out + kept)


def _shortcut_values(size_in: int, size_out: int, spec: BlockSpec) -> int:
    """Return what is alive while the input of a bottleneck is pooled and projected beside its main path's output."""
    if spec.stride == 1:
        return size_in + 2 * size_out
    pooled = spec.in_channels * spec.output_size**2
    return size_out + pooled + max(size_in, size_out)
