"""The state of training in one safetensors file: the tensors of `Learner.state`, the position in its header."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ofa_hw.errors import RunError
from ofa_hw.files import parse_json, write_bytes
from ofa_hw.training.guard import Health


@dataclasses.dataclass(frozen=True, kw_only=True)
class Position:
    """How far training is: `step` steps into phase `phase`, `num_rows` rows in the journal, after `seconds` of work."""

    phase: int = 0
    step: int = 0
    num_rows: int = 0
    seconds: float = 0.0
    health: Health = dataclasses.field(default_factory=Health)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that a resumed training needs; `tensors` are what `Learner.state` returns."""

    position: Position
    config: str
    tensors: dict[str, Tensor]


_CHECKSUM, _TOLD = "checksum", "ofa_hw"
"""What files tell beside tensors is JSON in one entry; before there were checksums, each fact was an entry."""

EARLY = "-early"
"""Ends the name of a checkpoint that was written because of the clock or a signal; rollbacks never go to these."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int = 2, is_early: bool = False) -> Path:
    """Write `checkpoint` into `folder`, remove all but the last `keep` and the last early one, return its path.

    A regular checkpoint replaces all early ones.
    """
    position = checkpoint.position
    metadata = {"position": json.dumps(dataclasses.asdict(position)), "config": checkpoint.config}
    path = folder / f"phase{position.phase:02d}-step{position.step:07d}{EARLY if is_early else ''}.safetensors"
    write_bytes(path, _with_checksum(checkpoint.tensors, metadata))
    regular, early = _paths(folder)
    for old in [*regular[:-keep], *(other for other in early if other != path)]:
        old.unlink()
    return path


def _paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the checkpoints of `folder` that were due by their step, then the early ones, each from first to last."""
    # Numbers are padded with zeros, so that names sort by phase and step.
    paths = sorted(folder.glob("phase*.safetensors"))
    return [path for path in paths if EARLY not in path.name], [path for path in paths if EARLY in path.name]


def read_last_checkpoint(folder: Path, *, with_early: bool = True) -> Checkpoint | None:
    """Return the furthest checkpoint of `folder`, early ones only if `with_early`; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    regular, early = _paths(folder)
    # At the same step the regular one is last: "-" sorts before ".".
    paths = sorted(regular + early) if with_early else regular
    if not paths:
        return None
    try:
        tensors, metadata = _checked(paths[-1])
        fields = parse_json(metadata["position"])
        position = Position(**fields | {"health": Health(**fields["health"])})
        return Checkpoint(position=position, config=metadata["config"], tensors=tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{paths[-1]} is damaged ({error}); remove it to go on from the checkpoint before it") from error


def read_weights(path: Path, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, which must have the names and shapes of `like`.

    Raises:
        RunError: the file is missing or damaged, or holds the weights of another space.
    """
    try:
        tensors, _ = _checked(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged ({error}); train again with `ofa-hw train`") from error
    require_shapes(path, tensors, like)
    return tensors


def require_shapes(path: Path, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    """Check that the `tensors` of `path` have the names and shapes of `like`; RunError where they do not."""
    if {key: tensor.shape for key, tensor in tensors.items()} != {key: tensor.shape for key, tensor in like.items()}:
        raise RunError(f"{path} holds the weights of another space or class count than config.toml names")


def save_weights(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write the weights of a network to `path`, atomically."""
    write_bytes(path, _with_checksum(state, metadata))


def _with_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    plain = {key: value.detach().contiguous(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    # One entry: safetensors writes several in whichever order, and equal weights must be equal files.
    told = json.dumps({**metadata, _CHECKSUM: _checksum(plain, metadata)}, sort_keys=True)
    return bytes(save(plain, {_TOLD: told}))


def _checked(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Raises:
        OSError, SafetensorError: it cannot be read.
        ValueError: they are not what was written; files of earlier versions do not tell.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        metadata = parse_json(metadata[_TOLD]) if _TOLD in metadata else metadata
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if not isinstance(metadata, dict):
        raise ValueError(f"what it tells must be an object; came {metadata!r}")
    written = metadata.pop(_CHECKSUM, None)
    if written is not None and written != _checksum(tensors, metadata):
        raise ValueError("its bytes are not those that were written")
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return a SHA-256 of names, types, shapes and numbers, whatever their order in the file."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
