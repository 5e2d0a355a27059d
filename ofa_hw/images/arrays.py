"""Arrays in one file that is mapped into memory, not read: safetensors, whose layout is a head and then plain bytes."""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES = {"U8": np.uint8, "BOOL": np.bool_, "I32": np.int32, "I64": np.int64}
_NAMES = {np.dtype(dtype).str: name for name, dtype in _DTYPES.items()}


def head_of(shapes: Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Return the head of a file whose arrays, of these dtypes and shapes, follow it in this order."""
    head: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        head[name] = {"dtype": _NAMES[np.dtype(dtype).str], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def map_arrays(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the arrays of a file, read-only and in memory only where they are looked at, and its metadata.

    Raises:
        ValueError, KeyError, TypeError, OSError: it is not a whole file of this form.
    """
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if not 2 <= length <= path.stat().st_size - 8:
            raise ValueError(f"{path} has no whole head")
        head = json.loads(file.read(length))
    arrays: dict[str, npt.NDArray[Any]] = {}
    metadata = head.pop("__metadata__", {})
    for name, entry in head.items():
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if end - begin != math.prod(shape) * dtype.itemsize or 8 + length + end > path.stat().st_size:
            raise ValueError(f"{path} is not whole")
        if end == begin:  # nothing cannot be mapped
            arrays[name] = np.empty(shape, dtype)
        else:
            arrays[name] = np.memmap(path, dtype, "r", 8 + length + begin, shape)
    return arrays, metadata


def let_go(array: npt.NDArray[Any]) -> None:
    """Return the memory of what was looked at in a mapped array to the system; it is still in the file's cache."""
    mapped = getattr(array, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
