"""What a space makes of the images of a folder, in a sentence, where it is not what they are."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from ofa_hw.images.folders import IMAGE_SUFFIXES
from ofa_hw.space import SearchSpace

_NUM_LOOKED_AT = 20
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")
_LARGEST_SUGGESTED = 224
_SMALLEST_SUGGESTED = 16


def advice_on_images(folder: str | Path, space: SearchSpace) -> str | None:
    """Return how the pictures below `folder`/train are stored for `space`, and what to write to keep them as they are.

    None where nothing is changed, or the images are not pictures in folders. Of pictures that are far larger than the
    space wants no other space is suggested: to scale photos down is what everybody does.
    """
    looks = [look for path in _some_pictures(Path(folder) / "train") if (look := _look(path)) is not None]
    if not looks:
        return None
    is_colour = any(colour for colour, _ in looks)
    size, wanted = int(np.median([side for _, side in looks])), space.resolutions[-1]
    loses_colour = is_colour and space.in_channels == 1
    if size == wanted and not loses_colour:
        return None
    kinds = {True: "colour", False: "grey"}
    text = (
        f"images of {folder} ({size} px, {kinds[is_colour]}) are stored as {wanted} px, "
        f"{kinds[is_colour and not loses_colour]}, as the space {space.name!r} wants them"
    )
    if not (loses_colour or wanted < size <= 2 * wanted):
        return text
    kept = max(min(size, _LARGEST_SUGGESTED) // 4 * 4, _SMALLEST_SUGGESTED)
    new = f"ofa-hw space new mine.toml --size {kept} --channels {3 if is_colour else 1}"
    return f"{text}; to keep them: {new} && ofa-hw train --space mine.toml --data {shlex.quote(str(folder))}"


def _some_pictures(train: Path) -> list[Path]:
    """Return the first picture of each class, of few classes at most."""
    classes = sorted(path for path in train.iterdir() if path.is_dir()) if train.is_dir() else []
    pictures = ([path for path in of.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES] for of in classes)
    return [min(of_class) for of_class in pictures if of_class][:_NUM_LOOKED_AT]


def _look(path: Path) -> tuple[bool, int] | None:
    """Return whether the picture is of colour, and its shorter side; None of one that Pillow cannot open."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode not in _GREY_MODES, min(image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
