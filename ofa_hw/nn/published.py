"""The key names of once-for-all's published checkpoints, translated to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ofa_hw.space import SearchSpace

# once-for-all wraps elastic layers once more, and its releases differ in how often: these all mean the same.
_SAME = (
    (".mobile_inverted_conv.", "."),
    (".bn.bn.", ".bn."),
    (".conv.conv.", ".conv."),
    (".linear.linear.", ".linear."),
)

_LAYERS = (
    (r"inverted_bottleneck\.conv\.(.+)", r"conv_pw.\1"),
    (r"inverted_bottleneck\.bn\.(.+)", r"bn_pw.\1"),
    (r"depth_conv\.conv\.(\d+to\d+)_matrix", r"transform_\1"),
    (r"depth_conv\.conv\.(.+)", r"conv_dw.\1"),
    (r"depth_conv\.bn\.(.+)", r"bn_dw.\1"),
    (r"depth_conv\.se\.fc\.(reduce|expand)\.(.+)", r"se.conv_\1.\2"),
    (r"point_linear\.conv\.(.+)", r"conv_pwl.\1"),
    (r"point_linear\.bn\.(.+)", r"bn_pwl.\1"),
)


def from_published(space: SearchSpace, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return `state` under our supernet's key names; a key that nothing matches keeps its name.

    Published files hold the weights below the key `state_dict`; either level is taken.
    """
    weights = state.get("state_dict", state)
    return {_our_key(space, key): tensor for key, tensor in weights.items()}


def _our_key(space: SearchSpace, key: str) -> str:
    plain = key.removeprefix("module.")
    for wrapped, bare in _SAME:
        plain = plain.replace(wrapped, bare)
    if plain.startswith("first_conv."):
        return plain.replace("first_conv.", "before.0.", 1)
    if plain.startswith("classifier."):
        return plain.replace("classifier.", "after.1.", 1)
    if plain.startswith("final_expand_layer."):
        return plain.replace("final_expand_layer.", "after.0.", 1)
    if plain.startswith("feature_mix_layer."):
        layer = plain.removeprefix("feature_mix_layer.")
        return f"after.0.{layer.replace('conv.', 'mix.', 1) if space.head_expand_channels else layer}"
    found = re.fullmatch(r"blocks\.(\d+)\.(?:conv\.)?(.+)", plain)
    if not found:
        return key
    prefix, layer = _block_prefix(space, int(found[1])), found[2]
    for pattern, ours in _LAYERS:
        if re.fullmatch(pattern, layer):
            return f"{prefix}.{re.sub(pattern, ours, layer)}"
    return key


def _block_prefix(space: SearchSpace, index: int) -> str:
    """Return the module of once-for-all's block: its block 0 is the static one, the rest are our positions in order."""
    if index == 0 and space.first_channels:
        return "before.1"
    position = index - 1 if space.first_channels else index
    if position >= len(space.position_stages):
        return f"blocks.{index}"
    return f"stages.{space.position_stages[position]}.{space.position_ranks[position]}"
