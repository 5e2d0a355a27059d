"""Bytes made slightly or badly wrong: of any file, of text, of JSON by its values, of safetensors by their head."""

from __future__ import annotations

import json
import random
import re
import struct
from typing import Any

_WORDS = (
    "", "0", "-1", "1", "1e30", "-1e30", "1e999", "nan", "inf", "NaN", "9" * 30, "0.5", "true", "null", "[]", "{}",
    '""',
    "banana",
    "2026-13-45T99:99:99+00:00", "\u202e\x1b[2J", "\ud7ff", "../../x", "#", '"', "'", "[" * 3000,
    "{a=" * 300,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 255, 1e30, -1e30, 0.5, float("nan"), float("inf"), 10**30, 2**63 - 1, "", "banana",
    "\x00",
    "\x1b[2J", [], [[]], {}, [1], {"a": 1}, [0] * 40, "1",
)  # fmt: skip
_BYTES = (
    b"\xff",
    b"\x00",
    b"\n",
    b"\x80\x04",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"%!PS\n",
)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return `content` with one to three faults."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(_ways_of(content))(content, rng)
    return content


def _ways_of(content: bytes) -> list[Any]:
    ways = [_flip, _overwrite, _cut_out, _repeat, _truncate, _insert]
    if is_safetensors(content):
        return [*ways, _mutate_head, _mutate_head, _mutate_head, _mutate_head]
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ways
    ways += [_replace_token] * 6 + [_mutate_lines] * 2
    return ways + [_mutate_json] * 4 if text.lstrip()[:1] in ("{", "[") else ways


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) or 1)
    return (
        content[:place]
        + bytes(byte ^ 1 << rng.randrange(8) for byte in content[place : place + 1])
        + content[place + 1 :]
    )


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    place, new = rng.randrange(min(len(content), 4096) or 1), rng.choice(_BYTES)
    return content[:place] + new + content[place + len(new) :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(_BYTES) + content[place:]


def _cut_out(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) or 1)
    return content[:place] + content[place + rng.choice((1, 4, 100, 5000)) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) or 1)
    end = place + rng.choice((1, 4, 100, 5000))
    return content[:end] + content[place:end] + content[end:]


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) or 1)]


def _replace_token(content: bytes, rng: random.Random) -> bytes:
    tokens = list(re.finditer(rb"[A-Za-z_]+|-?\d+(\.\d+)?(e-?\d+)?|[\[\]{}=:,]", content))
    if not tokens:
        return content
    token, other = rng.choice(tokens), rng.choice(tokens)
    new = rng.choice((other[0], rng.choice(_WORDS).encode()))
    return content[: token.start()] + new + content[token.end() :]


def _mutate_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove or rename one value anywhere in the JSON of one of the lines, or of the whole."""
    try:
        return json.dumps(_mutate_value(json.loads(content), rng)).encode()
    except (ValueError, RecursionError):
        lines = content.split(b"\n")
        place = rng.randrange(len(lines))
        try:
            lines[place] = json.dumps(_mutate_value(json.loads(lines[place]), rng)).encode()
        except (ValueError, RecursionError):
            return _flip(content, rng)
        return b"\n".join(lines)


def _mutate_value(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(_VALUES)
    if isinstance(value, list):
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value[place + 1 :]
        return [*value[:place], _mutate_value(value[place], rng), *value[place + 1 :]]
    key = rng.choice(list(value))
    if rng.random() < 0.1:
        return {(f"{key}x" if name == key else name): entry for name, entry in value.items()}
    if rng.random() < 0.1:
        return {name: entry for name, entry in value.items() if name != key}
    return value | {key: _mutate_value(value[key], rng)}


def is_safetensors(content: bytes) -> bool:
    """Return whether `content` begins as a file of safetensors does."""
    return len(content) > 9 and content[8:10] == b'{"' and struct.unpack("<Q", content[:8])[0] < len(content)


def _mutate_head(content: bytes, rng: random.Random) -> bytes:
    """Change the head, or the numbers of one tensor."""
    (length,) = struct.unpack("<Q", content[:8])
    try:
        head, body = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
        key = rng.choice([name for name in head if name != "__metadata__"])
        begin, end = head[key]["data_offsets"]
        match rng.randrange(4):
            case 0:
                head = _mutate_value(head, rng)
            case 1:
                head = {(rng.choice(("0", "x", "")) if name == key else name): entry for name, entry in head.items()}
            case 2:
                width = max(1, (end - begin) // max(1, _product(head[key]["shape"])))
                head[key]["shape"] = rng.choice(([(end - begin) // width], [1, (end - begin) // width], [0], []))
            case 3:
                body[begin:end] = rng.choice((b"\xff", b"\x7f", b"\x00", b"\x80")) * (end - begin)
    except (ValueError, KeyError, TypeError, IndexError):
        return _flip(content, rng)
    told = json.dumps(head).encode()
    return struct.pack("<Q", len(told)) + told + bytes(body)


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
