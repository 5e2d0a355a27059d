"""Reads the plain data of a pickle - numbers, texts, lists, dictionaries, NumPy arrays - and executes nothing.

A pickle is a program for a small stack machine, which may call any function that it names. Here its opcodes are taken
apart by `pickletools`, those that build plain data are acted on, an array is put together from its bytes, and
whatever else stands in the file is an error before anything has happened.
"""

from __future__ import annotations

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

_MAX_OPCODES = 5_000_000

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NAMES = {
    **{f"{module} _reconstruct": "array" for module in _MODULES},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}
"""What a file may name, and what it stands for here; none of it is imported."""

_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "INT", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "BINUNICODE8", "BINBYTES8",
}  # fmt: skip
_OLD_TEXTS = {"BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclasses.dataclass(frozen=True)
class _Name:
    """One of the values of `_NAMES`."""

    value: str


@dataclasses.dataclass
class _Array:
    """An array, or the type of one, before its state came."""

    kind: str
    value: Any = None


def read_plain_pickle(content: bytes) -> Any:
    """Return the data of a pickle of protocol 2 or later; texts of Python 2 come back as bytes.

    Raises:
        ValueError: it is damaged, or holds anything but plain data.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number > _MAX_OPCODES:
                raise ValueError(f"it has more than {_MAX_OPCODES} opcodes")
            if opcode.name == "STOP":
                return _settled(machine.stack.pop())
            machine.take(opcode.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged: {type(error).__name__} {error}") from error
    raise ValueError("it has no end")


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def take(self, name: str, argument: Any) -> None:
        """Act as one opcode does."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _OLD_TEXTS:
            self.stack.append(argument.encode("latin-1") if isinstance(argument, str) else argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            num = _TUPLES[name]
            self.stack[-num:] = [tuple(self.stack[-num:])]
        elif name not in {"PROTO", "FRAME"}:
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise ValueError(f"the opcode {name} is not one of plain data")
            handler(argument)

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _since_mark(self) -> list[Any]:
        place = max(index for index, value in enumerate(self.stack) if value is _MARK)
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        _as(list, self.stack[-1]).append(value)

    def _appends(self, _: Any) -> None:
        values = self._since_mark()
        _as(list, self.stack[-1]).extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _as(dict, self.stack[-1])[key] = value

    def _setitems(self, _: Any) -> None:
        values = self._since_mark()
        _as(dict, self.stack[-1]).update(zip(values[::2], values[1::2], strict=True))

    def _binput(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _binget(self, place: int) -> None:
        self.stack.append(self._memo[place])

    _long_binget = _binget

    def _global(self, name: str) -> None:
        if name not in _NAMES:
            raise ValueError(f"it names {name.replace(' ', '.')}, which is no plain data")
        self.stack.append(_Name(_NAMES[name]))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._global(f"{module} {name}")

    def _reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), _as(_Name, self.stack.pop())
        if name.value == "encode":
            text, encoding = arguments
            if encoding != "latin1":
                raise ValueError(f"it has a text in {encoding}")
            self.stack.append(_as(str, text).encode("latin-1"))
        elif name.value == "dtype":
            kind = arguments[0].decode() if isinstance(arguments[0], bytes) else _as(str, arguments[0])
            if np.dtype(kind).kind not in "iuf":
                raise ValueError(f"it has an array of type {kind}")
            self.stack.append(_Array("dtype", np.dtype(kind)))
        elif name.value == "array":
            self.stack.append(_Array("array"))
        else:
            raise ValueError("it calls ndarray itself")

    def _build(self, _: Any) -> None:
        state, built = _as(tuple, self.stack.pop()), _as(_Array, self.stack[-1])
        if built.kind == "dtype":
            order = state[1].decode() if isinstance(state[1], bytes) else _as(str, state[1])
            built.value = built.value.newbyteorder(order)
        else:
            _, shape, dtype, in_columns, content = state
            array = np.frombuffer(_as(bytes, content), _as(_Array, dtype).value)
            built.value = array.reshape(shape, order="F" if in_columns else "C")


def _as(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {kind.__name__.strip('_').lower()} must stand where {type(value).__name__} does")
    return value


def _settled(value: Any) -> Any:
    """Return `value` with each array in the place of what it was put together in."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, _Name):
        raise ValueError("it ends in a name")
    if isinstance(value, dict):
        return {key: _settled(entry) for key, entry in value.items()}
    return [_settled(entry) for entry in value] if isinstance(value, list) and _has_arrays(value) else value


def _has_arrays(values: list[Any]) -> bool:
    return any(isinstance(value, _Array | _Name | dict | list) for value in values)
