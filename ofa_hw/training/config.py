"""What training is told: one frozen value that config.toml keeps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.images import PHOTO_AUGMENTATIONS, Augmentation
from ofa_hw.training.schedule import Phase, phases_from_dicts

PRECISIONS = ("fp32", "bf16", "fp16")
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {"max_shift": 0, "flip": False},
    "shift": {"max_shift": 1, "flip": False},
    "flip": {"max_shift": 0, "flip": True},
    "shift-flip": {"max_shift": 1, "flip": True},
    "shift4-flip": {"max_shift": 4, "flip": True},
    **{name: {"augmentation": augmentation} for name, augmentation in PHOTO_AUGMENTATIONS.items()},
}
"""Each by its name, of small images and of photos; shifts are in stored pixels, as those of the usual padding by 4."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The schedule and the optimiser: SGD with Nesterov momentum, cosine rates, label smoothing (OFA, section 4.1).

    `max_grad_norm` is for each subnet of a step (0: no clipping). `augmentation` is that of photos; small images (None)
    are shifted by up to `max_shift` stored pixels and mirrored where `flip` says so. `num_calibration_images`
    re-estimate batch norm before a subnet is judged. `precision` is what convolutions are computed in. With
    `average_decay` above 0 a moving average of the weights takes their place at the end of each phase.

    Raises:
        InvalidInputError: a value is outside its range.
    """

    phases: tuple[Phase, ...]
    batch_size: int = 32
    momentum: float = 0.9
    weight_decay: float = 3e-4
    label_smoothing: float = 0.1
    max_grad_norm: float = 5.0
    max_shift: int = 1
    flip: bool = True
    augmentation: Augmentation | None = None
    num_calibration_images: int = 1000
    precision: str = "fp32"
    average_decay: float = 0.0
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.phases:
            raise InvalidInputError("training must have at least one phase")
        for field in ("batch_size", "num_calibration_images", "checkpoint_every"):
            if getattr(self, field) < 1:
                raise InvalidInputError(f"{field} must be 1 or more; came {getattr(self, field)}")
        if self.precision not in PRECISIONS:
            raise InvalidInputError(f"precision must be one of {', '.join(PRECISIONS)}; came {self.precision!r}")
        for field in ("momentum", "label_smoothing", "average_decay"):
            if not 0 <= getattr(self, field) < 1:
                raise InvalidInputError(f"{field} must be in [0, 1); came {getattr(self, field)}")
        for field in ("weight_decay", "max_grad_norm", "max_shift", "seed"):
            if getattr(self, field) < 0:
                raise InvalidInputError(f"{field} must be 0 or more; came {getattr(self, field)}")

    @property
    def num_images(self) -> int:
        """The images drawn in all phases."""
        return sum(phase.num_images for phase in self.phases)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values for TOML; `from_dict` reads them back."""
        value = dataclasses.asdict(self)
        value["phases"] = [
            {key: entry for key, entry in phase.items() if entry is not None} for phase in value["phases"]
        ]
        augmentation = value.pop("augmentation")
        if augmentation is not None:  # without it, this is what was written before there was any
            value["augmentation"] = {
                key: list(entry) if isinstance(entry, tuple) else entry for key, entry in augmentation.items()
            }
        return value

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> TrainingConfig:
        """Return the configuration that `to_dict` wrote; InvalidInputError where it has another form."""
        try:
            read = {
                "phases": phases_from_dicts(value.get("phases", ())),
                "augmentation": augmentation_from_dict(value.get("augmentation")),
            }
            return cls(**{**value, **read})
        except TypeError as error:
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            raise InvalidInputError(f"[training] must have the keys {names} ({error})") from error

    @property
    def digest(self) -> str:
        """A hash of all that decides the weights, so that a checkpoint is not resumed under another configuration."""
        value = {**self.to_dict(), "checkpoint_every": 0}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def augmentation_from_dict(value: dict[str, Any] | None) -> Augmentation | None:
    """Return the augmentation that config.toml keeps, None where it keeps none.

    Raises:
        InvalidInputError: it has another form.
    """
    if value is None:
        return None
    try:
        read: dict[str, Any] = {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in value.items()}
        return Augmentation(**read)
    except TypeError as error:
        names = ", ".join(field.name for field in dataclasses.fields(Augmentation))
        raise InvalidInputError(f"[training.augmentation] must have the keys {names} ({error})") from error
