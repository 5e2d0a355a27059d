"""Folders of images by class, decoded to one size; an image that is damaged is named, and skipped up to a limit."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import struct
import warnings
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
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "PPM", "TIFF")
"""What Pillow may take a file for, whatever its name: of the others, PostScript starts another program."""
_FAULTS = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError)
"""What Pillow's readers stumble over, beside `struct.error`."""
_ORIENTATION = 0x0112

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Pixels (n, channels, size, size) and labels (n,)."""


def class_folders(folder: Path) -> list[Path]:
    """Return the folders of the classes in `folder`, by name; DataError where there is none."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder} must hold one folder of images for each class; it is missing or empty")
    for path in found:
        if not path.name.isascii() and path.name.encode(errors="replace").decode() != path.name:
            raise DataError(f"{folder}: the folder of a class must have a name in UTF-8; came {path.name!r}")
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow says of an image that it reads nevertheless
            for index, path in enumerate(paths):
                good[index] = self._decode(path, pixels[index])
                if index % 64 == 63 or index + 1 == len(paths):
                    self.progress(f"reading {folders[0].parent}", index + 1, len(paths))
        kept = np.array(labels, np.int64)[good]
        for folder in folders:
            if classes.index(folder.name) not in kept:
                raise DataError(f"{folder} holds no whole image; mend some, or remove the class")
        return pixels[good], kept

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
    except (*_FAULTS, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a whole image ({error})") from error
    return array[None] if in_channels == 1 else array.transpose(2, 0, 1)


def _open(path: Path, mode: str, min_size: int) -> Image.Image:
    """Return the image at `path` as a viewer shows it, decoded no finer than `min_size` pixels need where it can be.

    Raises:
        ValueError: its pixels are of numbers whose white is not agreed on.
    """
    from PIL import Image

    if not path.is_file():
        raise ValueError("it must be a file, no pipe or device")  # which could be waited for without end
    with Image.open(path, formats=_FORMATS) as image:
        turn = _TURNS.get(_orientation(image))
        decoded = _decode_jpeg(path, mode, min_size) or _eight_bits(image, mode, min_size)
    return decoded if turn is None else decoded.transpose(Image.Transpose[turn])


_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip
"""How an image is turned that was taken in this orientation of EXIF."""


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (*_FAULTS, struct.error):  # viewers show an image whose EXIF is damaged
        return 1


def _eight_bits(image: Image.Image, mode: str, min_size: int) -> Image.Image:
    from PIL import Image

    image.draft(mode, (min_size, min_size))
    is_sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if is_sixteen:  # Pillow would clip at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert(mode)
    if image.mode in ("I", "F"):
        raise ValueError(
            "its pixels are 32-bit numbers, of which nobody knows what is white: save it with 8 or 16 bits"
        )
    return image.convert(mode)


def _decode_jpeg(path: Path, mode: str, min_size: int) -> Image.Image | None:
    """Return the JPEG at `path` by simplejpeg; None where that is not installed, or does not know this kind."""
    from PIL import Image

    if path.suffix.lower() in (".jpg", ".jpeg") and _has_simplejpeg():
        import simplejpeg

        colorspace = "GRAY" if mode == "L" else "RGB"
        try:
            pixels = simplejpeg.decode_jpeg(path.read_bytes(), colorspace, min_height=min_size, min_width=min_size)
            return Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
        except ValueError:  # of a kind that Pillow knows, or damaged, which Pillow tells
            pass
    return None


@functools.cache
def _has_simplejpeg() -> bool:
    return importlib.util.find_spec("simplejpeg") is not None
