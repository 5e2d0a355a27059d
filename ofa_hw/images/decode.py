"""Encoded images as pixels: the size first, then the part that is wanted, decoded no finer than it needs."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.images.folders import read_file

if TYPE_CHECKING:
    from PIL import Image

    from ofa_hw.images.source import Pixels

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "PPM", "TIFF")
"""The only formats that are tried: others run more code, or other programs, on whatever a file holds."""

MAX_PIXELS = 1 << 27
"""Pixels of an image at most: what is larger would fill the memory of a worker."""

CROP_FRACTION = 0.875
"""The part of the shorter side that is judged, as for ImageNet: 224 of 256 pixels."""

_ORIENTATION = 0x0112

Box = tuple[float, float, float, float]
"""Top, left, height, width in pixels of the whole image."""

_FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, SyntaxError, TypeError, ValueError,
    Warning, struct.error,
)  # fmt: skip
"""What decoders raise at bytes that are not of their format."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image whose `height` and `width`, as a viewer shows them, are known.

    `decode(factor)` returns its pixels (h, w, channels), about `factor` (1, 2, 4 or 8) times smaller where the format
    can be decoded so.
    """

    height: int
    width: int
    decode: Callable[[int], Pixels]

    @property
    def centre(self) -> Box:
        """The square in the middle that is judged: 0.875 of the shorter side."""
        side = CROP_FRACTION * min(self.height, self.width)
        return (self.height - side) / 2, (self.width - side) / 2, side, side

    @property
    def square(self) -> Box:
        """The largest square in the middle."""
        side = min(self.height, self.width)
        return (self.height - side) / 2, (self.width - side) / 2, side, side

    def cut(self, box: Box, size: int) -> Pixels:
        """Return the part `box`, scaled to a square of `size` pixels, (channels, size, size).

        Raises:
            DataError: the image is damaged.
        """
        factor = 1
        while factor < 8 and min(box[2], box[3]) >= 2 * factor * size:
            factor *= 2
        try:
            pixels = self.decode(factor)
        except _FAULTS as error:
            raise DataError(f"is not a whole image ({error})") from error
        down, right = pixels.shape[0] / self.height, pixels.shape[1] / self.width
        top, left = round(box[0] * down), round(box[1] * right)
        bottom = min(pixels.shape[0], max(top + 1, round((box[0] + box[2]) * down)))
        end = min(pixels.shape[1], max(left + 1, round((box[1] + box[3]) * right)))
        return _scaled(pixels[min(top, bottom - 1) : bottom, min(left, end - 1) : end], size)


def open_picture(content: bytes | Pixels, in_channels: int) -> Picture:
    """Return the image that `content` is, `in_channels` (1 or 3) deep: an encoded file, or pixels (channels, h, w).

    Raises:
        DataError: it is not an image of a known format, or too large.
    """
    if isinstance(content, np.ndarray):
        pixels = np.ascontiguousarray(content.transpose(1, 2, 0))
        return Picture(pixels.shape[0], pixels.shape[1], lambda _: pixels)
    try:
        return _open_jpeg(content, in_channels) or _open_any(content, in_channels)
    except _FAULTS as error:
        raise DataError(f"is not a whole image ({error})") from error


def _scaled(pixels: Pixels, size: int) -> Pixels:
    """Return `pixels` (h, w, channels), scaled with antialiasing, as (channels, size, size).

    torch's kernel for uint8 takes a third of the time of Pillow's.
    """
    import torch
    import torch.nn.functional as F

    if pixels.shape[0] == pixels.shape[1] == size:
        return pixels.transpose(2, 0, 1).copy("K")
    pixels = pixels if pixels.flags.writeable else pixels.copy()  # torch warns of arrays that are not
    x_1CHW = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # in this order it is seen as channels_last
    scaled: Pixels = F.interpolate(x_1CHW, (size, size), mode="bilinear", antialias=True)[0].numpy()
    return scaled


# ------------------------------------------------------------------------------------------------------ decoders


def _open_jpeg(content: bytes, in_channels: int) -> Picture | None:
    """Return a JPEG that simplejpeg reads; None where Pillow has to."""
    if not content.startswith(b"\xff\xd8") or not _has_simplejpeg():
        return None
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:  # of a kind that Pillow knows, or damaged, which Pillow tells
        return None
    if colours not in ("YCbCr", "GRAY", "Gray", "RGB"):
        return None
    _require_size(height, width)
    orientation = _orientation_of(content)

    def decode(factor: int) -> Pixels:
        try:
            pixels = simplejpeg.decode_jpeg(
                content,
                "GRAY" if in_channels == 1 else "RGB",
                min_height=-(-height // factor) if factor > 1 else 0,
                min_width=-(-width // factor) if factor > 1 else 0,
            )
        except ValueError:  # Pillow takes what a viewer would, and tells what it does not
            return _open_any(content, in_channels).decode(factor)
        return _turned(pixels, orientation)

    return Picture(*((width, height) if orientation >= 5 else (height, width)), decode)


def _open_any(content: bytes, in_channels: int) -> Picture:
    from PIL import Image

    mode = "L" if in_channels == 1 else "RGB"

    def opened() -> Image.Image:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow says of an image that it reads nevertheless
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            except Image.DecompressionBombError as error:
                raise ValueError(str(error)) from error
        return image

    def decode(factor: int) -> Pixels:
        image = opened()  # anew, since a draft changes what is opened
        if factor > 1:
            image.draft(mode, (-(-image.width // factor), -(-image.height // factor)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = np.array(_shown(image, mode))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        return _turned(pixels, _turn_of(image))  # asked for when it is decoded: some are turned by Pillow

    image = opened()
    _require_size(image.height, image.width)
    if image.format not in ("JPEG", "MPO"):  # what is decoded whole in any case tells its size best
        pixels = decode(1)
        return Picture(pixels.shape[0], pixels.shape[1], lambda _: pixels)
    return Picture(*((image.width, image.height) if _turn_of(image) >= 5 else (image.height, image.width)), decode)


def _turn_of(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except _FAULTS:  # viewers show an image whose EXIF is damaged
        return 1
    return orientation if orientation in _TURNS else 1


def _require_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(f"must have at most {MAX_PIXELS:,} pixels; it has {width} x {height}")


def _shown(image: Image.Image, mode: str) -> Image.Image:
    """Return `image` in `mode` as a viewer shows it: of 16 bits the upper ones, on white where it is transparent."""
    from PIL import Image

    image.load()
    is_sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if is_sixteen:  # Pillow would clip at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(
            "its pixels are 32-bit numbers, of which nobody knows what is white: save it with 8 or 16 bits"
        )
    elif "transparency" in image.info or image.mode.endswith(("A", "a")):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _orientation_of(content: bytes) -> int:
    """Return EXIF's orientation of a JPEG, 1 to 8."""
    begin = content.find(b"Exif\0\0", 0, 1 << 16)
    if begin < 0:
        return 1
    from PIL import Image

    try:
        exif = Image.Exif()
        exif.load(content[begin : begin + (1 << 16)])
        orientation = exif.get(_ORIENTATION, 1)
    except _FAULTS:  # a viewer shows an image whose EXIF is damaged as it is
        return 1
    return orientation if orientation in range(1, 9) else 1


_TURNS: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    return pixels if orientation == 1 else np.ascontiguousarray(_TURNS[orientation](pixels))


@functools.cache
def _has_simplejpeg() -> bool:
    return importlib.util.find_spec("simplejpeg") is not None


def read_image(path: Path, *, in_channels: int, image_size: int) -> Pixels:
    """Return the image at `path`, its middle cropped to a square and scaled, (in_channels, image_size, image_size).

    Raises:
        DataError: it is not a whole image.
    """
    try:
        picture = open_picture(read_file(path), in_channels)
        return picture.cut(picture.square, image_size)
    except OSError as error:
        raise DataError(f"{path} is not a whole image ({error.strerror})") from error
    except DataError as error:
        raise DataError(f"{path} {error}") from error
