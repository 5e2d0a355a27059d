"""IDX files, as MNIST and Fashion-MNIST come."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.images.builtin import FASHION_CLASSES, is_fashion_mnist
from ofa_hw.images.source import ImageSet

_MAX_BYTES = 2**36
"""Of an IDX file: a greater one would not be a file of images that fit into memory."""


def is_idx(folder: Path) -> bool:
    """Return whether `folder` holds IDX files."""
    return bool(_paths(folder, "train", "images"))


def read_idx(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Return the train and test images of `folder`.

    Raises:
        DataError: naming the file that is missing or damaged, or the class that train lacks.
    """
    images, labels = {}, {}
    for split in ("train", "test"):
        arrays = {}
        for what in ("images", "labels"):
            found = _paths(folder, split, what)
            if not found:
                raise DataError(
                    f"{folder} has no IDX file of the {split} {what}; it must have all four of MNIST's names"
                )
            arrays[what] = _read_file(found[0])
        images[split], labels[split] = arrays["images"], arrays["labels"].astype(np.int64)
        if images[split].ndim != 3 or labels[split].ndim != 1 or len(images[split]) != len(labels[split]):
            raise DataError(
                f"{folder}: {split} must hold as many images as labels; "
                f"came {images[split].shape} and {labels[split].shape}"
            )
    sizes = [images[split].shape[1:] for split in ("train", "test")]
    if sizes[0] != sizes[1]:
        raise DataError(f"{folder}: train and test must be of one size; came {sizes[0]} and {sizes[1]}")
    num_classes = int(labels["train"].max()) + 1
    if int(labels["test"].max()) >= num_classes:
        raise DataError(f"{folder}: test has class {labels['test'].max()}, which train lacks")
    absent = np.setdiff1d(np.arange(num_classes), labels["train"])
    if len(absent):
        raise DataError(
            f"{folder}: there must be images of each label from 0 to the greatest; train has no {absent[0]}"
        )
    is_fashion = num_classes == 10 and is_fashion_mnist(images["train"])
    classes = FASHION_CLASSES if is_fashion else tuple(map(str, range(num_classes)))
    train, test = (
        ImageSet(pixels=images[split][:, None], labels=labels[split], classes=classes) for split in ("train", "test")
    )
    return train, test


def _paths(folder: Path, split: str, what: str) -> list[Path]:
    prefix = {"train": "train", "test": "t10k"}[split]
    dims = {"images": 3, "labels": 1}[what]
    return [
        path
        for separator in ("-", ".")
        for suffix in ("", ".gz")
        if (path := folder / f"{prefix}-{what}{separator}idx{dims}-ubyte{suffix}").is_file()
    ]


def _read_file(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file: a magic number with the number of dimensions, their sizes, then bytes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zero, kind, num_dims = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or num_dims not in (1, 3):
                raise ValueError(f"{num_dims} dimensions of type {kind}, where images have 3 and labels 1, of type 8")
            shape = struct.unpack(f">{num_dims}I", file.read(4 * num_dims))
            num_bytes = math.prod(shape)
            if not 0 < num_bytes <= _MAX_BYTES:
                raise ValueError(f"shape {shape}")
            # No more than it says, whatever a .gz would unpack to.
            content = file.read(num_bytes + 1)
        if len(content) != num_bytes:
            raise ValueError(f"{len(content)} bytes or more for shape {shape}")
    except (OSError, EOFError, MemoryError, struct.error, ValueError, zlib.error) as error:
        raise DataError(f"{path} must be a whole IDX file of unsigned bytes: {error}") from error
    return np.frombuffer(content, np.uint8).reshape(shape).copy()
