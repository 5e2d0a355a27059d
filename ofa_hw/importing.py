"""A run of weights that others have trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import sha256_of
from ofa_hw.nn import Supernet
from ofa_hw.nn.published import num_published_classes, read_published
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training.checkpoint import save_weights


def import_checkpoint(file: str | Path, space: SearchSpace, path: str | Path) -> RunFolder:
    """Make the run folder `path` of a once-for-all checkpoint of `space`, whose classes are those of the weights.

    The run has no images and no training; config.toml keeps the file's name and its SHA-256.

    Raises:
        InvalidInputError: the file is damaged, its keys or shapes are not those of `space`, or a weight is not finite.
        RunError: the folder holds a run already.
        OSError: the file cannot be read.
    """
    file, run = Path(file), RunFolder(Path(path))
    if run.config_path.exists():
        raise RunError(f"{run.path} already holds a run; choose another --run")
    state = read_published(file)
    try:
        space = dataclasses.replace(space, num_classes=num_published_classes(space, state))
        net = Supernet(space)
        net.load_published(state)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error
    weights = net.state_dict()
    broken = [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InvalidInputError(f"{file}: weights must be finite; {len(broken)} are not, the first is {broken[0]}")
    checksum = sha256_of(file)
    # The folder is a run once it has its config.toml, so the weights come first.
    save_weights(run.supernet_path, weights, {"imported": checksum})
    return RunFolder.create(run.path, {"space": space.to_dict(), "imported": {"file": file.name, "sha256": checksum}})
