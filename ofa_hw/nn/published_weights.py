"""Published checkpoints, once-for-all's and EfficientNets': read without running pickled code, names translated."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ofa_hw.errors import InvalidInputError
from ofa_hw.families import get_family
from ofa_hw.families.registry import CLASSIFIER, FIRST
from ofa_hw.space import SearchSpace

_FAULTS = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What torch and pickle stumble over in damaged files; RecursionError is a RuntimeError."""

# once-for-all wraps elastic layers once more, and its releases differ in how often: these all mean the same.
_SAME = (
    (".mobile_inverted_conv.", "."),
    (".bn.bn.", ".bn."),
    (".conv.conv.", ".conv."),
    (".linear.linear.", ".linear."),
)

EFFICIENTNET = "_conv_stem.weight"
"""By this name the checkpoints of PyTorch's EfficientNets, `efficientnet-lite-pytorch` among them, are known."""

_EFFICIENTNET = tuple(
    (re.compile(f"{pattern}\\."), name)
    for pattern, name in (
        (r"_blocks\.(\d+)\._expand_conv", r"blocks.\1.inverted_bottleneck.conv."),
        (r"_blocks\.(\d+)\._bn0", r"blocks.\1.inverted_bottleneck.bn."),
        (r"_blocks\.(\d+)\._depthwise_conv", r"blocks.\1.depth_conv.conv."),
        (r"_blocks\.(\d+)\._bn1", r"blocks.\1.depth_conv.bn."),
        (r"_blocks\.(\d+)\._project_conv", r"blocks.\1.point_linear.conv."),
        (r"_blocks\.(\d+)\._bn2", r"blocks.\1.point_linear.bn."),
        (r"_conv_stem", "first_conv.conv."),
        (r"_bn0", "first_conv.bn."),
        (r"_conv_head", "feature_mix_layer.conv."),
        (r"_bn1", "feature_mix_layer.bn."),
        (r"_fc", "classifier.linear."),
    )
)
"""Names of EfficientNets, each as once-for-all would call it."""


def kernel_transforms(keys: Iterable[str]) -> set[str]:
    """Return those of our `keys` that make smaller kernels of larger ones; a plain network has none."""
    return {key for key in keys if re.search(r"transform_\d+to\d+$", key)}


def classifier_names(space: SearchSpace) -> tuple[str, str]:
    """Return our names of the weight and the bias whose rows are the classes."""
    place = _classifier_place(space)
    return f"{place}.linear.weight", f"{place}.linear.bias"


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
    except (SafetensorError, pickle.UnpicklingError, *_FAULTS) as error:
        reason = _reason_of(error)
        raise InvalidInputError(
            f"{path} must be a .safetensors file or a torch checkpoint of tensors alone, undamaged; reading it says: "
            f"{reason}"
        ) from error
    if not isinstance(state, Mapping):
        raise InvalidInputError(f"{path} must hold a state dict; came a {type(state).__name__}")
    return state


def _reason_of(error: Exception) -> str:
    """Return in one line why a file was refused: torch tells that last, behind advice to load it unsafely."""
    text = " ".join(str(error).split())
    for advice in ("trusted source.", "WeightsUnpickler error:"):
        text = text.rpartition(advice)[2].strip() or text
    return re.split(r"Please use|Check the documentation", text)[0].strip()[:300] or type(error).__name__


def from_published(space: SearchSpace, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return `state` under our supernet's key names; a key that nothing matches keeps its name.

    Published files hold the weights below the key `state_dict`; either level is taken.

    Raises:
        InvalidInputError: a value is no tensor, or two keys name the same weight.
    """
    weights = state.get("state_dict", state)
    if not isinstance(weights, Mapping) or not weights:
        raise InvalidInputError("a checkpoint must hold tensors by their names, at the top or below state_dict")
    foreign = [key for key, value in weights.items() if not (isinstance(key, str) and _is_plain(value))]
    if foreign:
        raise InvalidInputError(
            "a checkpoint must hold plain tensors of numbers by their names alone (no meta, sparse or quantised ones); "
            f"{len(foreign)} are not, the first is {foreign[0]!r}"
        )
    names = {key: _our_key(space, key) for key in weights}
    name, times = Counter(names.values()).most_common(1)[0]
    if times > 1:
        twice = [key for key, ours in names.items() if ours == name]
        raise InvalidInputError(f"each weight must stand once in a checkpoint; {' and '.join(twice)} are the same")
    return {names[key]: tensor for key, tensor in weights.items()}


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_complex()
    )


def num_published_classes(space: SearchSpace, state: Mapping[str, Any]) -> int:
    """Return the number of classes of the checkpoint's last layer; InvalidInputError where it has none."""
    weight = from_published(space, state).get(classifier_names(space)[0])
    if weight is None or weight.ndim != 2:
        raise InvalidInputError(f"a checkpoint of {space.name!r} must have a classifier (classifier.linear.weight)")
    return len(weight)


def _our_key(space: SearchSpace, key: str) -> str:
    # DataParallel puts this before every name.
    plain = key.removeprefix("module.")
    plain = next((pattern.sub(name, plain) for pattern, name in _EFFICIENTNET if pattern.match(plain)), plain)
    for wrapped, bare in _SAME:
        plain = plain.replace(wrapped, bare)
    found = re.fullmatch(r"(\w+)(?:\.(\d+))?\.(.+)", plain)
    if not found:
        return key
    part, index, layer = found[1], found[2], found[3]
    if index is None:
        return _static_key(space, part, layer) or key
    prefix, kind = _block_of(space, part, int(index)) or ("", "")
    for pattern, ours in get_family(kind).published_names if prefix else ():
        if re.fullmatch(pattern, layer):
            return f"{prefix}.{re.sub(pattern, ours, layer)}"
    return key


def _static_key(space: SearchSpace, part: str, layer: str) -> str | None:
    """Return our name of a weight of the stem, the head or the classifier; None where the space has no such part."""
    has_mix = bool(space.head_expand_channels)
    if part == CLASSIFIER:  # once-for-all calls it by the same name
        return f"{_classifier_place(space)}.{layer}"
    if part == "first_conv" and space.stem_channels:
        return f"before.0.{layer}"
    if part == "final_expand_layer" and has_mix:
        return f"after.0.{layer}"
    if part == "feature_mix_layer" and space.head_channels:
        return f"after.0.{layer.replace('conv.', 'mix.', 1) if has_mix else layer}"
    return None


def _classifier_place(space: SearchSpace) -> str:
    return "after.1" if space.head_channels else "after.0"


def _block_of(space: SearchSpace, part: str, index: int) -> tuple[str, str] | None:
    """Return the module of once-for-all's block and its family; None where the space has no such block.

    Block 0 of a MobileNet is the static one. The blocks of a ResNet's stem are our first stages, of plain convolutions.
    """
    parts = [get_family(space.stages[stage].kind).published_part for stage in space.position_stages]
    num_stem = sum(name != "blocks" for name in parts)
    if part == "blocks" and index == 0 and space.first_channels:
        return "before.1", FIRST
    # Their `blocks` are counted from behind the stem, and for MobileNets include the static block.
    position = index if part != "blocks" else index + num_stem - bool(space.first_channels)
    if position >= len(parts) or parts[position] != part:
        return None
    stage = space.position_stages[position]
    return f"stages.{stage}.{space.position_ranks[position]}", space.stages[stage].kind
