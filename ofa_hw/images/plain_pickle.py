"""Reads the plain data of a pickle - numbers, texts, lists, dictionaries, NumPy arrays - and calls nothing else.

A pickle may call whatever it names. Here it may name what NumPy's arrays are put together by, and gets stand-ins.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
import numpy.typing as npt

_FAULTS = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, pickle.PickleError)
"""What a damaged pickle leads to, beside ValueError."""
_MAX_TUPLES = 1000
"""An array has six."""


class PlainArray:
    """An array as NumPy pickles it: `value`, empty before its state was read."""

    value: npt.NDArray[Any] = np.empty(0, np.uint8)

    def __init__(self, *_: object) -> None:
        """Take what `_reconstruct` is called with, which says nothing."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, in_columns, content = state
        self.value = np.frombuffer(content, dtype.value).reshape(shape, order="F" if in_columns else "C")


class _NumberType:
    def __init__(self, kind: str | bytes, *_: object) -> None:
        self.value = np.dtype(kind if isinstance(kind, str) else kind.decode())
        if self.value.kind not in "iuf":
            raise ValueError(f"it has an array of type {self.value}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order: Any = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.value = self.value.newbyteorder(order)


class _Latin1:
    """The bytes of a text; a class, since the attributes of a function could be set by the file."""

    def __new__(cls, text: str, _: str) -> Any:
        return text.encode("latin-1")

    def __setstate__(self, state: object) -> None:
        raise TypeError("bytes have no state")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): PlainArray,
    ("numpy._core.multiarray", "_reconstruct"): PlainArray,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _NumberType,
    ("_codecs", "encode"): _Latin1,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise ValueError(f"it names {module}.{name}, which is no plain data")
        return _NAMES[module, name]


def read_plain_pickle(content: bytes) -> Any:
    """Return the data of a pickle; texts of Python 2 come back as bytes, arrays as `PlainArray`.

    Raises:
        ValueError: it is damaged, or holds anything but plain data.
    """
    try:
        _require_bounded(content)
        return _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        TypeError,
        pickle.PickleError,
    ) as error:
        raise ValueError(f"it is damaged: {type(error).__name__} {error}") from error


def _require_bounded(content: bytes) -> None:
    """Refuse what makes much of little: memo numbers beyond the file, tuples that are used twice, many of them.

    A tuple as a key is hashed with all that stands in it, each as often as it stands there, and as deep as it goes.
    """
    tuples, num_tuples, num_memos, before = set(), 0, 0, ""
    for opcode, argument, _ in pickletools.genops(content):
        place: Any = num_memos if opcode.name == "MEMOIZE" else argument
        if opcode.name == "MEMOIZE" or opcode.name.endswith("PUT"):
            num_memos += 1
            if place > len(content):
                raise ValueError(f"it numbers a value {place}")
            if "TUPLE" in before:
                tuples.add(place)
        elif "TUPLE" in opcode.name:
            num_tuples += 1
            if num_tuples > _MAX_TUPLES:
                raise ValueError(f"it has more than {_MAX_TUPLES} tuples")
        elif opcode.name == "DUP" or (opcode.name.endswith("GET") and place in tuples):
            raise ValueError("it uses a tuple twice")
        before = opcode.name
