"""What a worker may answer: one schema, checked before any answer is used.

A worker may run on another machine, in a runtime that prints to stdout, or be written by somebody else. An answer that
does not have this form is an error of one line, and never becomes a latency.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from ofa_hw.profiling.measurement import MAX_MS

Request = Mapping[str, Any]

_MAX_NUMBER = 1e300
"""Beyond it are infinity and whole numbers that no float can hold."""


def read_answer(line: str, request: Request) -> dict[str, Any]:
    """Return the answer to `request` that `line` holds, its texts made printable.

    Raises:
        ValueError: it is none; the message says what it must be and what came.
    """
    try:
        answer = json.loads(line)
    # json gives up on deep nesting by RecursionError.
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"it must answer in lines of JSON; came {line.rstrip()[:80]!r}: nothing else may print to its stdout, "
            "neither the shell's profile nor what the worker imports"
        ) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        raise ValueError(f'its answer must be an object with "ok"; came {line.rstrip()[:80]!r}')
    schema = _SCHEMA[request["op"]] if answer["ok"] else _REFUSAL
    for key, (what, holds) in schema.items():
        if not holds(answer.get(key), request):
            raise ValueError(
                f"{key} in its answer to {request['op']!r} must be {what}; came {_cleaned(repr(answer.get(key)))[:80]}"
            )
    return {key: _cleaned(value) if key in _TEXTS else value for key, value in answer.items()}


def one_line(text: str) -> str:
    """Return `text` in one line, without characters that a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


_TEXTS = ("error", "marks", "versions", "state")
"""What is shown to people or stored in a table's head, and is made printable."""


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    return {key: _cleaned(one) for key, one in value.items()} if isinstance(value, dict) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(holds(one) for one in value)


def _are_times(value: Any, request: Request) -> bool:
    return _are(value, lambda ms: _is_number(ms) and 0 < ms <= MAX_MS) and len(value) == len(request["order"])


def _are_flags(value: Any, request: Request) -> bool:
    return _are(value, lambda flag: isinstance(flag, bool)) and len(value) == len(request["order"])


def _are_marks(value: Any, request: Request) -> bool:
    return _are(value, lambda mark: isinstance(mark, str)) and len(value) == len(request["models"])


def _are_versions(value: Any, request: Request) -> bool:
    return isinstance(value, dict) and all(
        name in value and isinstance(value[name], str | None) for name in request["distributions"]
    )


def _is_state(value: Any, _: Request) -> bool:
    return (
        isinstance(value, dict)
        and {"governor", "clocks"} <= set(value)
        and all(isinstance(text, str) for text in value.values())
    )


def _is_base64(value: Any, _: Request) -> bool:
    try:
        # float32 takes four bytes.
        return isinstance(value, str) and len(base64.b64decode(value, validate=True)) % 4 == 0
    except (binascii.Error, ValueError):
        return False


_SCHEMA: dict[str, dict[str, tuple[str, Callable[[Any, Request], bool]]]] = {
    "open": {"marks": ("a text for each model", _are_marks)},
    "run": {
        "output": ("float32 in base64", _is_base64),
        "shape": ("whole numbers", lambda value, _: _are(value, lambda size: _is_whole(size, 0))),
    },
    "time": {
        "ms": (f"milliseconds above 0 and at most {MAX_MS:g}, one for each of the order", _are_times),
        "disturbed": ("true or false for each of the order", _are_flags),
        "others_load": ("a number of cores, 0 or more", lambda value, _: _is_number(value) and value >= 0),
        "num_cores": ("a whole number, 1 or more", lambda value, _: _is_whole(value, 1)),
    },
    "describe": {
        "cores": (
            "numbers of cores, one at least",
            lambda value, _: _are(value, lambda core: _is_whole(core, 0)) and bool(value),
        ),
        "versions": ("a text or null for each distribution", _are_versions),
        "memory_bytes": ("a number, 0 or more", lambda value, _: _is_number(value) and value >= 0),
    },
    "state": {"state": ("texts, governor and clocks among them", _is_state)},
}
_REFUSAL: dict[str, tuple[str, Callable[[Any, Request], bool]]] = {
    "error": ("a text", lambda value, _: isinstance(value, str)),
    "index": (
        "the number of a model, or absent",
        lambda value, request: value is None or (_is_whole(value, 0) and value < len(request.get("models", ()))),
    ),
}
