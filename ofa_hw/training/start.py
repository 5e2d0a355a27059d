"""Weights to begin from: those of another run, for the same space, with a classifier of one's own classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ofa_hw.errors import RunError
from ofa_hw.files import sha256_of
from ofa_hw.formats.operations import Normalisation
from ofa_hw.nn import Supernet
from ofa_hw.nn.published_weights import classifier_names
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""By which once-for-all, and nearly all who train on ImageNet, normalise images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The weights of a supernet to begin from, whether its classifier is new, and where they are from."""

    weights: dict[str, Tensor]
    has_new_classifier: bool
    source: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return what config.toml keeps of it."""
        return {"run": self.source, "sha256": self.sha256, "has_new_classifier": self.has_new_classifier}


def start_from(source: RunFolder, space: SearchSpace, classes: Sequence[str], *, seed: int = 0) -> Start:
    """Return the weights of `source` for a supernet of `space` whose images have these `classes`.

    Where the classes are others the classifier is new, drawn by `seed`; all other weights are kept.

    Raises:
        RunError: `source` is not trained; or naming each weight that is missing, left over or of another shape.
    """
    path = source.require(source.supernet_path, "ofa-hw train --resume")
    try:
        theirs = load_file(path)
    except Exception as error:  # safetensors raises several kinds, each of which means that the file is damaged
        raise RunError(f"{path} is damaged ({error}); make {source.path} anew") from error
    space = dataclasses.replace(space, num_classes=len(classes))
    ours = Supernet(space, generator=torch.Generator().manual_seed(seed)).state_dict()
    is_new = not _has_classes(source, classes)
    renewed = set(classifier_names(space)) if is_new else set()
    faults = {
        "missing": ours.keys() - theirs.keys() - renewed,
        "unknown": theirs.keys() - ours.keys() - renewed,
        "of another shape": {
            key for key in ours.keys() & theirs.keys() - renewed if ours[key].shape != theirs[key].shape
        },
    }
    if any(faults.values()):
        text = "; ".join(f"{what}: {', '.join(sorted(keys))}" for what, keys in faults.items() if keys)
        raise RunError(f"{path} must hold the weights of {space.name!r}; {text}")
    return Start(
        weights=theirs | {key: ours[key] for key in renewed},
        has_new_classifier=is_new,
        source=source.path.resolve().name,
        sha256=sha256_of(path),
    )


def normalisation_of(run: RunFolder) -> Normalisation | None:
    """Return how images are normalised for the weights of `run`; None where nobody has told."""
    config = run.config
    images = config.get("data") or config.get("imported", {})
    if "mean" in images:
        return Normalisation(mean=tuple(images["mean"]), std=tuple(images["std"]))
    return IMAGENET if run.space.in_channels == len(IMAGENET.mean) else None


def require_classifier(run: RunFolder) -> None:
    """Do nothing where the classifier of `run` has been trained for its classes; RunError where it has not."""
    if has_blank_classifier(run):
        raise RunError(
            f"the classifier of {run.path} is new, so that its subnets only guess; fine-tune a network by `ofa-hw "
            f"finetune --run {run.path} --arch FILE`, or train a supernet by `ofa-hw train --from {run.path} --data "
            f"{run.config['data']['source']} --run FOLDER`"
        )


def has_blank_classifier(run: RunFolder) -> bool:
    """Tell whether the classifier of the run's supernet was made anew and no training followed."""
    config = run.config
    return "training" not in config and bool(config.get("start", {}).get("has_new_classifier"))


def _has_classes(run: RunFolder, classes: Sequence[str]) -> bool:
    """Tell whether the classifier of `run` is of these classes; without their names, by how many they are."""
    known = run.config.get("data", {}).get("classes")
    return list(classes) == known if known is not None else len(classes) == run.space.num_classes
