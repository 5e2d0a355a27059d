"""A folder by class as an `ImageSource`: scanned once into an index of names, read file by file."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.files import write_bytes
from ofa_hw.images.arrays import head_of, map_arrays
from ofa_hw.images.source import Indices, Part
from ofa_hw.progress import ProgressCallback, no_progress

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")

INDEX_VERSION = "1"
_SETTLED_NS = 2_000_000_000
"""A folder that changed so shortly before it was read may change again without its time telling."""


class FolderSource:
    """The images of `folder/<class>/`, classes and files by name."""

    def __init__(
        self, folder: Path, classes: tuple[str, ...], arrays: Mapping[str, npt.NDArray[Any]], of_all: Sequence[str]
    ) -> None:
        """Take the names in `arrays`, of the folders `classes`; labels are places in `of_all`, the names of train's."""
        self.folder, self.classes = folder, tuple(of_all)
        self._folders, self._names, self._ends, self._folder_of = classes, arrays["names"], arrays["ends"], arrays["of"]
        places = {name: place for place, name in enumerate(of_all)}
        self.labels = np.array([places[name] for name in classes], np.int64)[self._folder_of]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._ends)

    def path(self, index: int) -> Path:
        """Return the file of an image."""
        begin = int(self._ends[index - 1]) if index else 0
        name = os.fsdecode(self._names[begin : int(self._ends[index])].tobytes())
        return self.folder / self._folders[self._folder_of[index]] / name

    def read(self, index: int) -> bytes:
        """Return the bytes of an image's file."""
        return read_file(self.path(index))

    def name(self, index: int) -> str:
        """Return the path of an image."""
        return str(self.path(index))

    def take(self, indices: Indices) -> Part:
        """Return the images at `indices`, in that order."""
        return Part(self, indices)

    def stamps(self, indices: Indices) -> bytes:
        """Return size and time of each file at `indices`."""
        stamps = np.zeros((len(indices), 2), np.int64)
        for row, index in zip(stamps, indices, strict=True):
            try:
                stat = self.path(int(index)).stat()
                row[:] = stat.st_size, stat.st_mtime_ns
            except OSError:  # it counts among the damaged ones when it is read
                row[:] = -1
        return str(self.folder).encode() + stamps.tobytes()

    def fingerprint(self) -> str:
        """Return a hash of all names, sizes and times."""
        return self.take(np.arange(len(self))).fingerprint()


def read_file(path: Path) -> bytes:
    """Return the bytes of a file; OSError where it is none, such as a pipe, which could be waited for without end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it must be a file, no pipe or device")
    return path.read_bytes()


def scan_folder(
    folder: Path,
    index_path: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
) -> FolderSource:
    """Return the images of `folder`, by class; labels are places in `classes`, which are train's (None: its own).

    What was found is kept in the file `index_path`, which is taken instead while no folder of a class has changed.

    Raises:
        DataError: a folder holds no image, two differ by case alone, or one is not among `classes`.
    """
    own = class_folders(folder)
    unknown = [name for name in own if classes is not None and name not in set(classes)]
    if unknown:
        raise DataError(f"{folder} has class {unknown[0]!r}, which {folder.parent / 'train'} lacks")
    arrays = _read_index(folder, own, index_path)
    if arrays is None:
        arrays = _scan(folder, own, index_path, progress)
    return FolderSource(folder, own, arrays, classes or own)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes in `folder`, sorted.

    Raises:
        DataError: there is none, or two differ by case alone.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        names = []
    if not names:
        raise DataError(f"{folder} must hold one folder of images for each class; it is missing or empty")
    for name in names:
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            raise DataError(f"{folder}: the folder of a class must have a name in UTF-8; came {name!r}")
    require_distinct(names, str(folder))
    return tuple(names)


def require_distinct(names: Sequence[str], where: str) -> None:
    """Return where the names of classes differ by more than case; DataError names two that do not."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"{where} must not have two classes of one name; it has {other!r} and {name!r}: rename one")


def _stamp(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return what tells that a folder of `names` has got or lost a file, as the metadata of an index."""
    times = [(folder / name).stat().st_mtime_ns for name in names]
    return {"version": INDEX_VERSION, "folder": str(folder.resolve()), "classes": json.dumps([*names]),
            "times": json.dumps(times)}  # fmt: skip


def _read_index(folder: Path, names: Sequence[str], path: Path | None) -> Mapping[str, npt.NDArray[Any]] | None:
    if path is None or not path.exists():
        return None
    try:
        arrays, metadata = map_arrays(path)
        scanned_ns = int(metadata.pop("scanned"))
    except (OSError, ValueError, KeyError, TypeError):  # another version's, or damaged: made anew
        return None
    now = _stamp(folder, names)
    is_settled = max(json.loads(now["times"])) + _SETTLED_NS < scanned_ns
    return arrays if metadata == now and is_settled else None


def _scan(
    folder: Path, names: Sequence[str], index_path: Path | None, progress: ProgressCallback
) -> Mapping[str, npt.NDArray[Any]]:
    scanned_ns, stamp = time.time_ns(), _stamp(folder, names)
    all_names, ends, of = bytearray(), [np.zeros(1, np.int64)], []
    for place, name in enumerate(names):
        with os.scandir(folder / name) as entries:  # a Path for each of a million files takes long
            found = sorted(entry.name for entry in entries if entry.name.lower().endswith(IMAGE_SUFFIXES))
        if not found:
            raise DataError(f"{folder / name} holds no image; known are {', '.join(IMAGE_SUFFIXES)}")
        encoded = [os.fsencode(entry) for entry in found]
        all_names += b"".join(encoded)
        ends.append(ends[-1][-1] + np.cumsum([len(entry) for entry in encoded], dtype=np.int64))
        of.append(np.full(len(found), place, np.int32))
        progress(f"looking through {folder}", place + 1, len(names))
    arrays: dict[str, npt.NDArray[Any]] = {
        "ends": np.concatenate(ends[1:]),
        "of": np.concatenate(of),
        "names": np.frombuffer(bytes(all_names), np.uint8),
    }
    if index_path is not None:
        write_index(index_path, arrays, stamp | {"scanned": str(scanned_ns)})
    return arrays


def write_index(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write the arrays of an index, whole or not at all."""
    shapes = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    write_bytes(path, b"".join([head_of(shapes, metadata), *(array.tobytes() for array in arrays.values())]))
