"""Once-for-all's published checkpoints: read without pickle's powers, their key names translated to ours."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ofa_hw.errors import InvalidInputError
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


CLASSIFIER, CLASSIFIER_BIAS = "after.1.linear.weight", "after.1.linear.bias"
"""Our names of the weights whose rows are the classes."""


def read_published(path: str | Path) -> Mapping[str, Any]:
    """Return what a checkpoint file holds: safetensors by that ending, else what `torch.save` wrote, tensors alone.

    Raises:
        InvalidInputError: the file is damaged, or holds more than tensors and plain values.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise InvalidInputError(
            f"{path} must be a .safetensors file or a torch checkpoint of tensors alone, undamaged; reading it says: "
            f"{reason}"
        ) from error
    if not isinstance(state, Mapping):
        raise InvalidInputError(f"{path} must hold a state dict; came a {type(state).__name__}")
    return state


def from_published(space: SearchSpace, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return `state` under our supernet's key names; a key that nothing matches keeps its name.

    Published files hold the weights below the key `state_dict`; either level is taken.

    Raises:
        InvalidInputError: a value is no tensor, or two keys name the same weight.
    """
    weights = state.get("state_dict", state)
    if not isinstance(weights, Mapping) or not weights:
        raise InvalidInputError("a checkpoint must hold tensors by their names, at the top or below state_dict")
    foreign = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if foreign:
        raise InvalidInputError(
            f"a checkpoint must hold tensors alone; {len(foreign)} are not, the first is {foreign[0]}"
        )
    names = {key: _our_key(space, key) for key in weights}
    name, times = Counter(names.values()).most_common(1)[0]
    if times > 1:
        twice = [key for key, ours in names.items() if ours == name]
        raise InvalidInputError(f"each weight must stand once in a checkpoint; {' and '.join(twice)} are the same")
    return {names[key]: tensor for key, tensor in weights.items()}


def num_published_classes(space: SearchSpace, state: Mapping[str, Any]) -> int:
    """Return the number of classes of the checkpoint's last layer; InvalidInputError where it has none."""
    weight = from_published(space, state).get(CLASSIFIER)
    if weight is None or weight.ndim != 2:
        raise InvalidInputError(f"a checkpoint of {space.name!r} must have a classifier (classifier.linear.weight)")
    return len(weight)


def _our_key(space: SearchSpace, key: str) -> str:
    plain = key.removeprefix("module.")
    for wrapped, bare in _SAME:
        plain = plain.replace(wrapped, bare)
    if plain.startswith("first_conv."):
        return plain.replace("first_conv.", "before.0.", 1)
    if plain.startswith("classifier."):
        return plain.replace("classifier.", "after.1.", 1)
    if plain.startswith("final_expand_layer.") and space.head_expand_channels:
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
