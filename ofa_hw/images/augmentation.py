"""How a training image is changed: a part of it at random, mirrored, its colours shifted, a patch of it erased."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ofa_hw.errors import InvalidInputError

if TYPE_CHECKING:
    from ofa_hw.images.decode import Box, Picture
    from ofa_hw.images.source import Pixels

POLICIES = ("none", "randaugment", "trivial")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A random resized crop as ImageNet is trained with, and what is done to it.

    The crop has a part of the area between `scale` and sides in a proportion between `ratio` (arXiv 1409.4842). It is
    mirrored by a coin where `flip` says so. `policy` is RandAugment (two operations at 9 of 30, arXiv 1909.13719) or
    TrivialAugment (one, of any strength, arXiv 2103.10158). `color_jitter` is by how much brightness, contrast and
    saturation change at most. With a probability of `erasing` noise covers a rectangle of 2 to 33 % (arXiv 1708.04896).

    Raises:
        InvalidInputError: a value is outside its range.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    policy: str = "none"
    color_jitter: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise InvalidInputError(f"scale must be parts of the area, 0 < low <= high <= 1; came {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise InvalidInputError(f"ratio must be 0 < low <= high; came {self.ratio}")
        if self.policy not in POLICIES:
            raise InvalidInputError(f"policy must be one of {', '.join(POLICIES)}; came {self.policy!r}")
        for field in ("color_jitter", "erasing"):
            if not 0 <= getattr(self, field) <= 1:
                raise InvalidInputError(f"{field} must be in [0, 1]; came {getattr(self, field)}")

    def apply(self, picture: Picture, size: int, rng: np.random.Generator) -> Pixels:
        """Return a part of `picture` as it is trained on, (channels, size, size)."""
        pixels = picture.cut(self.box(picture.height, picture.width, rng), size)
        if self.flip and rng.random() < 0.5:
            pixels = mirrored(pixels)
        if self.policy != "none" or self.color_jitter:
            pixels = self._recoloured(pixels, rng)
        if self.erasing and rng.random() < self.erasing:
            pixels = _erased(pixels, rng)
        return pixels

    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """Return which part of an image of this size is taken."""
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                return float(rng.integers(height - down + 1)), float(rng.integers(width - across + 1)), down, across
        # A panorama: the largest part in the middle whose proportion is allowed.
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        down, across = (min(height, round(width / ratio)), min(width, round(height * ratio)))
        return (height - down) / 2, (width - across) / 2, down, across

    def _recoloured(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        is_grey = len(pixels) == 1
        image = Image.fromarray(np.ascontiguousarray(pixels[0] if is_grey else pixels.transpose(1, 2, 0)))
        if self.policy == "randaugment":
            for name in rng.choice(list(_OPERATIONS), 2):
                image = _OPERATIONS[name](image, 0.3, _sign(rng))
        elif self.policy == "trivial":
            image = _OPERATIONS[rng.choice(list(_OPERATIONS))](image, rng.random(), _sign(rng))
        if self.color_jitter:
            for name in rng.permutation(_JITTERED):
                image = _enhanced(name, image, rng.uniform(-self.color_jitter, self.color_jitter))
        array = np.asarray(image)
        return array[None] if is_grey else array.transpose(2, 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """The middle of a small image, mirrored by a coin and shifted by up to `max_shift` pixels."""

    max_shift: int = 1
    flip: bool = True

    def apply(self, picture: Picture, size: int, rng: np.random.Generator) -> Pixels:
        """Return `picture` as it is trained on, (channels, size, size)."""
        pixels = picture.cut(picture.square, size)
        if self.flip and rng.random() < 0.5:
            pixels = mirrored(pixels)
        if self.max_shift:
            down, across = rng.integers(0, 2 * self.max_shift + 1, 2)
            around = ((0, 0), (self.max_shift,) * 2, (self.max_shift,) * 2)
            pixels = np.pad(pixels, around, mode="edge")[:, down : down + size, across : across + size]
        return pixels


PHOTO_AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": Augmentation(),
    "color-jitter": Augmentation(color_jitter=0.4),
    "randaugment": Augmentation(policy="randaugment", erasing=0.25),
    "trivial": Augmentation(policy="trivial", erasing=0.1),
}
"""Each by its name."""


def mirrored(pixels: Pixels) -> Pixels:
    """Return `pixels` (channels, h, w) mirrored, in the same order in memory."""
    import torch

    flipped: Pixels = torch.flip(torch.from_numpy(pixels.transpose(1, 2, 0)), [1]).numpy().transpose(2, 0, 1)
    return flipped


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _erased(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    channels, height, width = pixels.shape
    area = height * width * rng.uniform(0.02, 0.33)
    ratio = math.exp(rng.uniform(math.log(0.3), math.log(3.3)))
    down, across = (min(side, max(1, round(length))) for side, length in
                    ((height, math.sqrt(area * ratio)), (width, math.sqrt(area / ratio))))  # fmt: skip
    top, left = rng.integers(height - down + 1), rng.integers(width - across + 1)
    pixels = pixels.copy()
    pixels[:, top : top + down, left : left + across] = rng.integers(0, 256, (channels, down, across), np.uint8)
    return pixels


# ------------------------------------------------------------------------------------------------------ operations

_JITTERED = ("Brightness", "Contrast", "Color")


def _enhanced(name: str, image: Image.Image, change: float) -> Image.Image:
    if name == "Color" and image.mode == "L":
        return image
    enhanced: Image.Image = getattr(ImageEnhance, name)(image).enhance(1 + change)
    return enhanced


def _moved(image: Image.Image, *, x: float = 0, y: float = 0, shear_x: float = 0, shear_y: float = 0) -> Image.Image:
    """Return `image` sheared, and shifted by parts of its sides."""
    matrix = (1, shear_x, x * image.width, shear_y, 1, y * image.height)
    fill = _grey(image)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill)


def _grey(image: Image.Image) -> int | tuple[int, ...]:
    return 128 if image.mode == "L" else (128, 128, 128)


_OPERATIONS: dict[str, Callable[[Image.Image, float, int], Image.Image]] = {
    "identity": lambda image, _strength, _sign: image,
    "shear-x": lambda image, strength, sign: _moved(image, shear_x=0.3 * strength * sign),
    "shear-y": lambda image, strength, sign: _moved(image, shear_y=0.3 * strength * sign),
    "shift-x": lambda image, strength, sign: _moved(image, x=0.45 * strength * sign),
    "shift-y": lambda image, strength, sign: _moved(image, y=0.45 * strength * sign),
    "rotate": lambda image, strength, sign: image.rotate(
        30 * strength * sign, Image.Resampling.BILINEAR, fillcolor=_grey(image)
    ),
    "brightness": lambda image, strength, sign: _enhanced("Brightness", image, 0.9 * strength * sign),
    "color": lambda image, strength, sign: _enhanced("Color", image, 0.9 * strength * sign),
    "contrast": lambda image, strength, sign: _enhanced("Contrast", image, 0.9 * strength * sign),
    "sharpness": lambda image, strength, sign: _enhanced("Sharpness", image, 0.9 * strength * sign),
    "posterize": lambda image, strength, _sign: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength, _sign: ImageOps.solarize(image, 256 - round(256 * strength)),
    "autocontrast": lambda image, _strength, _sign: ImageOps.autocontrast(image),
    "equalize": lambda image, _strength, _sign: ImageOps.equalize(image),
}
"""(image, strength from 0 to 1, sign) to an image: what both papers draw from."""
