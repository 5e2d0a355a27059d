"""A run of weights that others have trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from ofa_hw.errors import DataError, InvalidInputError, RunError
from ofa_hw.files import sha256_of
from ofa_hw.formats.operations import Normalisation
from ofa_hw.nn import Supernet
from ofa_hw.nn.published_weights import (
    EFFICIENTNET,
    from_published,
    kernel_transforms,
    num_published_classes,
    read_published,
)
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training.checkpoint import save_weights
from ofa_hw.training.runs import describe_images
from ofa_hw.training.start import IMAGENET, normalisation_of


def import_checkpoint(
    file: str | Path,
    space: SearchSpace,
    path: str | Path,
    *,
    normalisation: Normalisation | None = None,
    data: str | None = None,
    seed: int = 0,
    max_bad_images: int = 0,
    progress: ProgressCallback = no_progress,
) -> RunFolder:
    """Make the run folder `path` of a published checkpoint of `space`, whose classes are those of the weights.

    It is once-for-all's, or that of a plain network, which becomes the largest one, its channels sorted by importance.
    Its images are `data`, or given later by `give_images`; they are normalised as the weights want it: for an
    EfficientNet-Lite from -1 to 1, for others ImageNet's way by default. The run has no training; config.toml keeps the
    file's name and its SHA-256.

    Raises:
        InvalidInputError: the file is damaged, its keys or shapes are not those of `space`, or a weight is not finite.
        DataError: the images cannot be used, or have not as many classes as the weights.
        RunError: the folder holds a run already.
        OSError: the file cannot be read.
    """
    file, run = Path(file), RunFolder(Path(path))
    if run.config_path.exists():
        raise RunError(f"{run.path} already holds a run; choose another --run")
    state = read_published(file)
    if normalisation is None and EFFICIENTNET in state:
        normalisation = Normalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    if normalisation is not None:
        _check_normalisation(normalisation, space)
    try:
        space = dataclasses.replace(space, num_classes=num_published_classes(space, state))
        net = Supernet(space)
        net.load_published(state)
        if not kernel_transforms(from_published(space, state)):
            net.sort_channels()  # a plain network's channels have no order yet, and the first are what narrow ones use
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error
    weights = net.state_dict()
    broken = [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InvalidInputError(f"{file}: weights must be finite; {len(broken)} are not, the first is {broken[0]}")
    checksum = sha256_of(file)
    imported = {"file": file.name, "sha256": checksum}
    imported |= {} if normalisation is None else dataclasses.asdict(normalisation)
    config: dict[str, Any] = {"space": space.to_dict(), "imported": imported}
    if data is not None:
        config["data"] = _describe(space, data, normalisation, seed, max_bad_images, progress)
    # The folder is a run once it has its config.toml, so the weights come first.
    save_weights(run.supernet_path, weights, {"imported": checksum})
    return RunFolder.create(run.path, config)


def give_images(
    run: RunFolder,
    data: str,
    *,
    normalisation: Normalisation | None = None,
    seed: int = 0,
    max_bad_images: int = 0,
    progress: ProgressCallback = no_progress,
) -> None:
    """Give a run of imported weights its images; `normalisation` None is what the import was told.

    Raises:
        DataError: the images cannot be used, or have not as many classes as the weights.
        RunError: the run has its images, or was not imported.
    """
    with run.locked():
        config = run.config
        if "imported" not in config or "data" in config:
            raise RunError(
                f"images can be given to a run of imported weights that has none; {run.path} has its own: make another "
                "run, by `ofa-hw import-checkpoint` or `ofa-hw train --from`"
            )
        normalisation = normalisation or normalisation_of(run)
        run.add_to_config("data", _describe(run.space, data, normalisation, seed, max_bad_images, progress))


def _check_normalisation(normalisation: Normalisation, space: SearchSpace) -> None:
    mean, std = normalisation.mean, normalisation.std
    if not len(mean) == len(std) == space.in_channels or min(std) <= 0:
        raise InvalidInputError(
            f"mean and std must hold {space.in_channels} numbers each, those of std above 0, as the images of "
            f"{space.name!r} have channels; came {mean} and {std}"
        )


def _describe(
    space: SearchSpace,
    data: str,
    normalisation: Normalisation | None,
    seed: int,
    max_bad_images: int,
    progress: ProgressCallback,
) -> dict[str, Any]:
    normalisation = normalisation or IMAGENET
    _check_normalisation(normalisation, space)
    described, _ = describe_images(
        space, data, normalisation=normalisation, seed=seed, max_bad_images=max_bad_images, progress=progress
    )
    if len(described["classes"]) != space.num_classes:
        raise DataError(
            f"the weights know {space.num_classes} classes, the images of {data} have {len(described['classes'])}; "
            "import without --data, then give the network these classes by `ofa-hw train --from` or "
            "`ofa-hw finetune --from`"
        )
    return described
