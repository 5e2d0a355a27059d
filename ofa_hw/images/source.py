"""`ImageSource`: images by index, with labels and classes, in memory that does not grow with their number."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Protocol

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


class ImageSource(Protocol):
    """Images in a fixed order, each of one class."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def labels(self) -> Indices:
        """The class of each image, (n,), as an index into `classes`."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, index: int) -> bytes | Pixels:
        """Return an image as it is kept: an encoded file, or pixels (channels, h, w). OSError where it is gone."""

    def name(self, index: int) -> str:
        """Return where an image is, for a person."""

    def take(self, indices: Indices) -> ImageSource:
        """Return the images at `indices`, in that order."""

    def fingerprint(self) -> str:
        """Return a hash that changes where an image does, as far as can be told without reading them all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images of one size in memory: `pixels` uint8 (n, channels, h, w), `labels` int64 (n,) into `classes`."""

    pixels: Pixels
    labels: Indices
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def read(self, index: int) -> Pixels:
        """Return the pixels of an image, (channels, h, w)."""
        return self.pixels[index]

    def name(self, index: int) -> str:
        """Return what an image is called."""
        return f"image {index}"

    def take(self, indices: Indices) -> ImageSet:
        """Return the images at `indices`, in that order."""
        return dataclasses.replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def fingerprint(self) -> str:
        """Return a hash of pixels and labels."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


class EncodedSource(ImageSource, Protocol):
    """A source whose images are files, or parts of files, that are read one by one."""

    def stamps(self, indices: Indices) -> bytes:
        """Return what changes where one of the images at `indices` does."""


@dataclasses.dataclass(frozen=True)
class Part:
    """The images of `source` at `indices`."""

    source: EncodedSource
    indices: Indices

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of the whole source."""
        return self.source.classes

    @property
    def labels(self) -> Indices:
        """The class of each image, (n,)."""
        return self.source.labels[self.indices]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices)

    def read(self, index: int) -> bytes | Pixels:
        """Return an image as it is kept."""
        return self.source.read(int(self.indices[index]))

    def name(self, index: int) -> str:
        """Return where an image is."""
        return self.source.name(int(self.indices[index]))

    def take(self, indices: Indices) -> Part:
        """Return the images at `indices` of these."""
        return Part(self.source, self.indices[indices])

    def fingerprint(self) -> str:
        """Return a hash of which images these are and of what tells that one has changed."""
        digest = hashlib.sha256(np.ascontiguousarray(self.indices).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        digest.update(self.source.stamps(self.indices))
        return digest.hexdigest()
