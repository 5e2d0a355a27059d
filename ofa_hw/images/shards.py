"""Tar shards as WebDataset writes them: `<key>.jpg` and `<key>.cls` side by side, read by offset from an index."""

from __future__ import annotations

import itertools
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.images.arrays import map_arrays
from ofa_hw.images.folders import IMAGE_SUFFIXES, INDEX_VERSION, require_distinct, write_index
from ofa_hw.images.source import Indices, Part
from ofa_hw.progress import ProgressCallback, no_progress

CLASS_FILES = ("classes.json", "classes.txt")
"""Beside the shards: the names of the classes in the order of their numbers, a JSON list or a line each."""

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
_MAX_SHARDS = 1_000_000
_MAX_CLASS_BYTES = 1024


def expand_braces(pattern: str) -> list[str]:
    """Return the names that `pattern` stands for: `{000..146}` counts, `{a,b}` lists, as a shell expands them.

    Raises:
        DataError: there are more than a million.
    """
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, last, words = found.groups()
    if first is None:
        values: Sequence[str] = words.split(",")
    else:
        if abs(int(last) - int(first)) >= _MAX_SHARDS:
            raise DataError(f"{pattern} must stand for at most {_MAX_SHARDS:,} shards")
        step = 1 if int(first) <= int(last) else -1
        values = [str(number).zfill(len(first)) for number in range(int(first), int(last) + step, step)]
    rests = expand_braces(pattern[found.end() :])
    if len(values) * len(rests) > _MAX_SHARDS:
        raise DataError(f"{pattern} must stand for at most {_MAX_SHARDS:,} shards")
    return [pattern[: found.start()] + value + rest for value, rest in itertools.product(values, rests)]


def is_pattern(source: str) -> bool:
    """Return whether `source` names tar shards, by braces or by its ending."""
    return source.endswith(".tar")


class ShardSource:
    """The images of `shards`, shard after shard in the order in which they stand there."""

    def __init__(
        self, shards: Sequence[Path], classes: tuple[str, ...], labels: Indices, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        """Take the members at `arrays`: `shard`, `offset` and `size` of each image."""
        self.shards, self.classes, self.labels = tuple(shards), classes, labels
        self._shard, self._offset, self._size = arrays["shard"], arrays["offset"], arrays["size"]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def read(self, index: int) -> bytes:
        """Return the bytes of an image."""
        with open(self.shards[self._shard[index]], "rb", buffering=0) as file:
            size = int(self._size[index])
            content = os.pread(file.fileno(), size, int(self._offset[index]))
        if len(content) != size:
            raise OSError(f"{self.shards[self._shard[index]]} has become shorter")
        return content

    def name(self, index: int) -> str:
        """Return the shard of an image and where in it the image begins."""
        return f"{self.shards[self._shard[index]]}, byte {self._offset[index]}"

    def take(self, indices: Indices) -> Part:
        """Return the images at `indices`, in that order."""
        return Part(self, indices)

    def stamps(self, indices: Indices) -> bytes:
        """Return names, sizes and times of the shards."""
        return _stamps(self.shards).encode()

    def fingerprint(self) -> str:
        """Return a hash of the shards' names, sizes and times."""
        return self.take(np.arange(len(self))).fingerprint()


def scan_shards(
    shards: Sequence[Path],
    index_path: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
) -> ShardSource:
    """Return the images of `shards`; labels are places in `classes`, which are train's (None: found here).

    `.cls` members are numbers, whose names are in `classes.json` or `classes.txt` beside the shards where there is
    one, or they are names. What was found is kept in the file `index_path`, which is taken instead while no shard has
    changed.

    Raises:
        DataError: a shard is missing, cut or holds an image without a class, or shards differ in their classes.
    """
    missing = next((shard for shard in shards if not shard.is_file()), None)
    if missing is not None or not shards:
        raise DataError(f"{missing or 'the shards'} must be a tar file; it is missing: mend --data or fetch it")
    named = _named_classes(shards[0].parent)
    arrays, words = _read_index(shards, index_path) or _scan(shards, index_path, progress)
    own, numbers = _classes_of(shards, words, named, arrays)
    labels = numbers[arrays["word"]]
    if classes is None:
        _require_images(own, labels)
        return ShardSource(shards, own, labels, arrays)
    if classes != own:
        places = {name: place for place, name in enumerate(classes)}
        lacking = next((name for name in (own[number] for number in numbers) if name not in places), None)
        if lacking is not None:
            raise DataError(f"{shards[0]} and its like have class {lacking!r}, which the train shards lack")
        labels = np.array([places.get(name, -1) for name in own], np.int64)[labels]
    return ShardSource(shards, tuple(classes), labels, arrays)


def _classes_of(
    shards: Sequence[Path], words: Sequence[str], named: tuple[str, ...] | None, arrays: Mapping[str, npt.NDArray[Any]]
) -> tuple[tuple[str, ...], Indices]:
    """Return the names of the classes, and the number of each of `words`, which are what `.cls` members say."""

    def first_shard(word: str) -> Path:
        return shards[int(arrays["shard"][int(np.argmax(arrays["word"] == words.index(word)))])]

    counted = [word for word in words if word.isdecimal()]
    if counted and len(counted) < len(words):
        name = next(word for word in words if not word.isdecimal())
        raise DataError(
            f"shards must agree on their classes; {first_shard(counted[0])} has numbers such as {counted[0]}, "
            f"{first_shard(name)} names such as {name!r}"
        )
    if counted:
        highest = max(words, key=int)
        classes = named or tuple(str(number) for number in range(int(highest) + 1))
        if int(highest) >= len(classes):
            raise DataError(
                f"{first_shard(highest)} has class {highest}; {shards[0].parent} names {len(classes)} classes, from 0"
            )
        return classes, np.array([int(word) for word in words], np.int64)
    classes = named or tuple(sorted(words))
    require_distinct(classes, str(shards[0].parent))
    unknown = next((word for word in words if word not in set(classes)), None)
    if unknown is not None:
        raise DataError(f"{first_shard(unknown)} has class {unknown!r}, which {shards[0].parent} does not name")
    places = {name: place for place, name in enumerate(classes)}
    return classes, np.array([places[word] for word in words], np.int64)


def _require_images(classes: Sequence[str], labels: Indices) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        raise DataError(
            f"class {classes[int(np.argmin(counts))]!r} of the train shards has no image; name no such class"
        )


def _named_classes(folder: Path) -> tuple[str, ...] | None:
    path = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text()
        names = json.loads(text) if path.suffix == ".json" else [line.strip() for line in text.splitlines()]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names) or not names:
            raise ValueError("it holds something else")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be the names of the classes, a list or a line each ({error})") from error
    require_distinct(names, str(path))
    if len(set(names)) < len(names):
        raise DataError(f"{path} must name each class once")
    return tuple(names)


# -------------------------------------------------------------------------------------------------------- the index


def _stamps(shards: Sequence[Path]) -> str:
    stats = [shard.stat() for shard in shards]
    return json.dumps([[str(shard), stat.st_size, stat.st_mtime_ns] for shard, stat in zip(shards, stats, strict=True)])


def _read_index(shards: Sequence[Path], path: Path | None) -> tuple[Mapping[str, npt.NDArray[Any]], list[str]] | None:
    if path is None or not path.exists():
        return None
    try:
        arrays, metadata = map_arrays(path)
        is_same = metadata["version"] == INDEX_VERSION and metadata["shards"] == _stamps(shards)
        return (arrays, json.loads(metadata["words"])) if is_same else None
    except (OSError, ValueError, KeyError, TypeError):  # another version's, or damaged: made anew
        return None


def _scan(
    shards: Sequence[Path], index_path: Path | None, progress: ProgressCallback
) -> tuple[Mapping[str, npt.NDArray[Any]], list[str]]:
    stamps = _stamps(shards)
    words: dict[str, int] = {}
    parts = []
    for number, shard in enumerate(shards):
        rows = [(number, offset, size, words.setdefault(word, len(words))) for offset, size, word in _samples(shard)]
        if not rows:
            raise DataError(f"{shard} holds no image with its .cls; known are {', '.join(IMAGE_SUFFIXES)}")
        parts.append(np.array(rows, np.int64))
        progress("looking through the shards", number + 1, len(shards))
    table = np.concatenate(parts)
    arrays: dict[str, npt.NDArray[Any]] = {
        "offset": table[:, 1].copy(),
        "shard": table[:, 0].astype(np.int32),
        "size": table[:, 2].astype(np.int32),
        "word": table[:, 3].astype(np.int32),
    }
    if index_path is not None:
        metadata = {"version": INDEX_VERSION, "shards": stamps, "words": json.dumps([*words])}
        write_index(index_path, arrays, metadata)
    return arrays, [*words]


def _samples(shard: Path) -> Iterator[tuple[int, int, str]]:
    """Yield offset and size of each image of a shard with what its `.cls` says."""
    images: dict[str, tuple[int, int]] = {}
    words: dict[str, str] = {}
    for key, suffix, member, tar in _members(shard):
        if suffix in IMAGE_SUFFIXES:
            if key in images:
                raise DataError(f"{shard} must hold one image of a key; {member.name} is another of its key")
            images[key] = (member.offset_data, member.size)
        elif suffix == ".cls":
            words[key] = _content(tar, member).decode(errors="replace").strip()
            if not words[key]:
                raise DataError(f"{shard}: {member.name} must hold the number or the name of a class")
    for key, (offset, size) in images.items():
        if key not in words:
            raise DataError(f"{shard} must have a .cls beside each image; {key.lstrip('/')} has none")
        yield offset, size, words[key]


def _members(shard: Path) -> Iterator[tuple[str, str, tarfile.TarInfo, tarfile.TarFile]]:
    """Yield the files of a shard, each with its key and suffix; DataError where it is not whole."""
    try:
        with tarfile.open(shard, "r:") as tar:
            while (member := tar.next()) is not None:
                vars(tar)["members"].clear()  # tarfile keeps all that it has seen
                folder, _, base = member.name.rpartition("/")
                stem, _, ending = base.partition(".")
                if member.isfile():
                    yield f"{folder}/{stem}", f".{ending.lower()}", member, tar
            end = tar.offset
        with open(shard, "rb") as file:
            file.seek(end)
            # tarfile takes a cut between two members, and a damaged head, for the end; empty blocks are a tar's end.
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"it ends or is damaged at byte {end}")
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{shard} must be a whole, uncompressed tar file ({error}); fetch it again") from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file is not None and member.size <= _MAX_CLASS_BYTES else b""
