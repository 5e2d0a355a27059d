"""CIFAR-10 and CIFAR-100 as their authors publish them, in binary or in Python's form; no pickle is executed."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.images.plain_pickle import PlainArray, read_plain_pickle

_SIZE = 32
_NUM_PIXELS = 3 * _SIZE * _SIZE
_LABELS = {10: b"labels", 100: b"fine_labels"}
_NAMES = {10: b"label_names", 100: b"fine_label_names"}

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Pixels (n, 3, 32, 32) and labels (n,)."""


def is_cifar(folder: Path) -> bool:
    """Return whether `folder` holds one of CIFAR's four forms."""
    return _form_of(folder) is not None


def read_cifar(folder: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Return the train and test images of `folder` and the names of the classes.

    Raises:
        DataError: naming the file that is missing, damaged, or holds what such a file does not.
    """
    form = _form_of(folder)
    assert form is not None, "is_cifar is asked first"
    num_classes, is_binary = form
    train_names, test_name, meta_name = {
        (10, True): ([f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin", "batches.meta.txt"),
        (10, False): ([f"data_batch_{i}" for i in range(1, 6)], "test_batch", "batches.meta"),
        (100, True): (["train.bin"], "test.bin", "fine_label_names.txt"),
        (100, False): (["train"], "test", "meta"),
    }[form]
    read = _read_binary if is_binary else _read_python
    parts = [read(folder / name, num_classes) for name in train_names]
    train = np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts])
    return train, read(folder / test_name, num_classes), _class_names(folder / meta_name, num_classes)


def _form_of(folder: Path) -> tuple[int, bool] | None:
    if (folder / "data_batch_1.bin").is_file():
        return 10, True
    if (folder / "data_batch_1").is_file():
        return 10, False
    if (folder / "train.bin").is_file():
        return 100, True
    return (100, False) if (folder / "train").is_file() and (folder / "meta").is_file() else None


def _read_binary(path: Path, num_classes: int) -> Split:
    """Read records of one label byte (of CIFAR-100 two, coarse and fine) and the pixels."""
    head = 1 if num_classes == 10 else 2
    content = np.frombuffer(_bytes_of(path), np.uint8)
    if not len(content) or len(content) % (head + _NUM_PIXELS):
        raise DataError(f"{path} must hold whole records of {head + _NUM_PIXELS} bytes; it has {len(content)} bytes")
    records = content.reshape(-1, head + _NUM_PIXELS)
    return _checked(path, records[:, head:], records[:, head - 1], num_classes)


def _read_python(path: Path, num_classes: int) -> Split:
    fields = _fields_of(path)
    pixels, labels = fields.get(b"data"), fields.get(_LABELS[num_classes])
    # Labels are looked at one by one: NumPy would follow lists within lists to the end.
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list) or {*map(type, labels)} != {int}:
        raise DataError(
            f"{path} must hold an array 'data' and whole numbers {_LABELS[num_classes].decode()!r}, as CIFAR's do"
        )
    return _checked(path, pixels, labels, num_classes)


def _checked(path: Path, pixels: npt.NDArray[Any], labels: Sequence[int] | npt.NDArray[Any], num_classes: int) -> Split:
    label_array = np.asarray(labels)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape != (len(label_array), _NUM_PIXELS):
        raise DataError(
            f"{path} must hold {len(label_array)} images of {_NUM_PIXELS} bytes; came {pixels.dtype} {pixels.shape}"
        )
    if label_array.dtype.kind not in "iu" or not 0 <= label_array.min() <= label_array.max() < num_classes:
        raise DataError(f"{path}: labels must be whole numbers from 0 to {num_classes - 1}")
    return pixels.reshape(-1, 3, _SIZE, _SIZE).copy(), label_array.astype(np.int64)


def _class_names(path: Path, num_classes: int) -> tuple[str, ...]:
    if path.suffix == ".txt":
        names = [line.strip() for line in _bytes_of(path).decode(errors="replace").splitlines() if line.strip()]
    else:
        found = _fields_of(path).get(_NAMES[num_classes], [])
        found = found if isinstance(found, list) else []
        names = [name.decode(errors="replace") for name in found if isinstance(name, bytes)]
    if len(names) != num_classes:
        raise DataError(f"{path} must name {num_classes} classes; it names {len(names)}")
    return tuple(names)


def _fields_of(path: Path) -> dict[bytes, Any]:
    try:
        value = read_plain_pickle(_bytes_of(path))
    except ValueError as error:
        raise DataError(
            f"{path} must be a file of CIFAR's Python form, with numbers, texts and arrays alone ({error}); "
            "the binary form of the same images is read as well"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold a dictionary, as CIFAR's files do")
    return {
        key.encode(errors="replace") if isinstance(key, str) else key: entry.value
        if isinstance(entry, PlainArray)
        else entry
        for key, entry in value.items()
    }


def _bytes_of(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no file")  # a pipe could be waited for without end
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} is missing or cannot be read ({error.strerror}); CIFAR has it") from error
