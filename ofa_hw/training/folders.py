"""Folders of images by class, decoded to one size; an image that is damaged is named, and skipped up to a limit."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.progress import ProgressCallback

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Pixels (n, channels, size, size) and labels (n,)."""


def class_folders(folder: Path) -> list[Path]:
    """Return the folders of the classes in `folder`, by name; DataError where there is none."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder} must hold one folder of images for each class; it is missing or empty")
    return found


@dataclasses.dataclass(kw_only=True)
class FolderReader:
    """Reads images as `in_channels` (1 or 3) x `image_size` x `image_size`; leaves out up to `max_bad_images`."""

    in_channels: int
    image_size: int
    max_bad_images: int
    progress: ProgressCallback
    num_bad_images: int = 0

    def read(self, folders: Sequence[Path], classes: tuple[str, ...]) -> Split:
        """Return the images of `folders`, each of which is named as one of `classes`.

        Raises:
            DataError: a folder holds no image, or more images are damaged than may be.
        """
        paths, labels = [], []
        for folder in folders:
            of_class = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            if not of_class:
                raise DataError(f"{folder} holds no image; known are {', '.join(IMAGE_SUFFIXES)}")
            paths += of_class
            labels += [classes.index(folder.name)] * len(of_class)
        pixels = np.empty((len(paths), self.in_channels, self.image_size, self.image_size), np.uint8)
        good = np.ones(len(paths), bool)
        for index, path in enumerate(paths):
            good[index] = self._decode(path, pixels[index])
            if index % 64 == 63 or index + 1 == len(paths):
                self.progress(f"reading {folders[0].parent}", index + 1, len(paths))
        return pixels[good], np.array(labels, np.int64)[good]

    def _decode(self, path: Path, into: npt.NDArray[np.uint8]) -> bool:
        try:
            into[:] = read_image(path, in_channels=self.in_channels, image_size=self.image_size)
        except DataError as error:
            self.num_bad_images += 1
            if self.num_bad_images > self.max_bad_images:
                raise DataError(f"{error}; mend or remove it, or allow some by --max-bad-images") from error
            return False
        return True


def read_image(path: Path, *, in_channels: int, image_size: int) -> npt.NDArray[np.uint8]:
    """Return the image at `path`, its middle cropped to a square and scaled, (in_channels, image_size, image_size).

    Raises:
        DataError: it is not a whole image.
    """
    from PIL import Image, ImageOps

    try:
        image = _open(path, "L" if in_channels == 1 else "RGB", 2 * image_size)
        array = np.array(ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a whole image ({error})") from error
    return array[None] if in_channels == 1 else array.transpose(2, 0, 1)


def _open(path: Path, mode: str, min_size: int) -> Image.Image:
    """Return the image at `path`, decoded no finer than `min_size` pixels need where its format can do that."""
    from PIL import Image

    if path.suffix.lower() in (".jpg", ".jpeg") and _has_simplejpeg():
        import simplejpeg

        colorspace = "GRAY" if mode == "L" else "RGB"
        try:
            pixels = simplejpeg.decode_jpeg(path.read_bytes(), colorspace, min_height=min_size, min_width=min_size)
            return Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
        except ValueError:  # of a kind that Pillow knows, or damaged, which Pillow tells
            pass
    with Image.open(path) as image:
        image.draft(mode, (min_size, min_size))
        return image.convert(mode)


@functools.cache
def _has_simplejpeg() -> bool:
    return importlib.util.find_spec("simplejpeg") is not None
