"""Images that are judged again and again: decoded once, into a file of uint8 pixels that is mapped into memory."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ofa_hw.errors import DataError
from ofa_hw.files import write_atomically
from ofa_hw.images.arrays import head_of, let_go, map_arrays
from ofa_hw.images.decode import open_picture
from ofa_hw.images.loading import Centre, Cuts, Wanted, loading, require_few
from ofa_hw.images.source import ImageSource, Indices, Pixels
from ofa_hw.progress import ProgressCallback, no_progress

_DECODED_TOGETHER = 32


@dataclasses.dataclass(frozen=True)
class PixelMap:
    """The middle of each image of `source` that is `good`; the first `len(pixels)` images are kept in a file.

    The others are decoded whenever they are asked for.
    """

    source: ImageSource
    in_channels: int
    size: int
    pixels: Pixels
    good: Indices

    @property
    def labels(self) -> Indices:
        """The class of each good image."""
        return self.source.labels[self.good]

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Yield the good images in their order, uint8 (n, channels, size, size)."""
        for first in range(0, len(self.good), batch_size):
            yield self.at(self.good[first : first + batch_size])

    def at(self, indices: Indices) -> Tensor:
        """Return the images at `indices`, uint8 (n, channels, size, size)."""
        pixels = np.empty((len(indices), self.in_channels, self.size, self.size), np.uint8)
        is_kept = indices < len(self.pixels)
        pixels[is_kept] = self.pixels[indices[is_kept]]
        let_go(self.pixels)
        for row in np.flatnonzero(~is_kept):
            picture = open_picture(self.source.read(int(indices[row])), self.in_channels)
            pixels[row] = picture.cut(picture.centre, self.size)
        return torch.from_numpy(pixels)


def map_pixels(
    source: ImageSource,
    path: Path,
    *,
    in_channels: int,
    size: int,
    num_kept: int,
    max_bad_images: int = 0,
    num_workers: int = 0,
    progress: ProgressCallback = no_progress,
) -> PixelMap:
    """Return the images of `source`, the first `num_kept` of them decoded in the file `path`.

    The file is taken as it is where it holds these images already, else it is written whole.

    Raises:
        DataError: more than `max_bad_images` are damaged.
        OSError: there is no room for the file; what was there before is as it was.
    """
    num_kept = min(num_kept, len(source))
    told = f"{source.fingerprint()} {in_channels} {size} {num_kept}"
    fingerprint = hashlib.sha256(told.encode()).hexdigest()
    found = _read(path, fingerprint)
    if found is None:
        shape = (num_kept, in_channels, size, size)
        head = head_of({"pixels": (np.uint8, shape), "good": (np.bool_, (len(source),))}, {"fingerprint": fingerprint})

        def write(file: BinaryIO) -> None:
            file.write(head)
            num_bytes = len(head) + num_kept * in_channels * size**2 + len(source)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)  # whether there is room is known before the work
            _decode_into(
                file, source, in_channels, size, num_kept, max_bad_images, num_workers=num_workers, progress=progress
            )

        try:
            write_atomically(path, write)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            needed = f"{num_kept * in_channels * size**2 / 1e6:,.0f} MB of decoded images"
            raise OSError(error.errno, f"no space for {needed}; a lower --cache-size keeps fewer", str(path)) from error
        found = _read(path, fingerprint)
        assert found is not None, "it was just written"
    pixels, good = found
    return PixelMap(source, in_channels, size, pixels, np.flatnonzero(good))


def _read(path: Path, fingerprint: str) -> tuple[Pixels, Pixels] | None:
    try:
        arrays, metadata = map_arrays(path)
        return (arrays["pixels"], arrays["good"]) if metadata["fingerprint"] == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged: made anew
        return None


def _decode_into(
    file: BinaryIO,
    source: ImageSource,
    in_channels: int,
    size: int,
    num_kept: int,
    max_bad_images: int,
    *,
    num_workers: int,
    progress: ProgressCallback,
) -> None:
    """Write the pixels of the first `num_kept` images, then which of all are whole."""
    cuts = Cuts(source, in_channels, Centre(), replaces=False)
    firsts = range(0, len(source), _DECODED_TOGETHER)
    wanted = (Wanted(tuple(range(first, min(first + _DECODED_TOGETHER, len(source)))), size) for first in firsts)
    good, seen = np.ones(len(source), np.bool_), dict[int, str]()
    done = 0
    with loading(cuts, wanted, num_workers=num_workers) as batches:
        for loaded in batches:
            require_few(loaded.damaged, seen, max_bad_images)
            file.write(loaded.pixels.numpy()[: max(0, num_kept - done)].tobytes())
            done += len(loaded.indices)
            progress("decoding images", done, len(source))
    good[list(seen)] = False
    if not good.any():
        raise DataError(f"{source.name(0)} and all others are damaged; there must be an image to judge by")
    file.write(good.tobytes())
