"""Files that are whole or absent: atomic writes, and journals that survive a kill."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import json
import math
import os
import platform
import re
import shutil
import tempfile
import tomllib
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ofa_hw.errors import InvalidInputError, RunError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_OWN = re.compile(r"(?:^|^\..+\.)ofa-hw-([0-9a-f]{8})-([0-9]{1,10})-[^-]*$")
_MAX_DEPTH = 50
_MAX_DOTS = 1000
"""In a line of TOML: the parser takes the square of the parts of a dotted key."""


# ---------------------------------------------------------------------------------------------- text of others


def parse_json(text: str | bytes) -> Any:
    """Return the plain value that JSON describes; InvalidInputError where it is damaged, or `require_plain` fails."""
    return _parsed("JSON", json.loads, text)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table that TOML describes; InvalidInputError where it is damaged, or `require_plain` fails."""

    def load(text: str) -> dict[str, Any]:
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise RecursionError
        return tomllib.loads(text)

    table: dict[str, Any] = _parsed("TOML", load, text)
    return table


def parse_yaml(text: str) -> Any:
    """Return the plain value that YAML describes.

    Raises:
        InvalidInputError: it is damaged, holds aliases or objects of Python, or `require_plain` fails.
    """
    import yaml

    def load(text: str) -> Any:
        depth = 0
        for bracket in re.findall(r"[\[\]{}]", text):  # the parser takes the square of their depth
            depth += 1 if bracket in "[{" else -1
            if depth > _MAX_DEPTH:
                raise RecursionError
        # An alias makes much of little: nine lines of them are a thousand million values.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise ValueError("it has aliases")
        try:
            return yaml.safe_load(text)
        except yaml.constructor.ConstructorError as error:
            raise ValueError(f"it must hold plain values, no Python objects: {error}") from error

    return _parsed("YAML", load, text, yaml.YAMLError)


def _parsed(form: str, parse: Callable[[Any], Any], text: str | bytes, *faults: type[Exception]) -> Any:
    # AttributeError, LookupError, TypeError: what the parser of YAML stumbles over.
    expected: tuple[type[Exception], ...] = (ValueError, AttributeError, LookupError, TypeError, *faults)
    try:
        value = parse(text)
        require_plain(value)
    except RecursionError:
        raise InvalidInputError(f"must be {form}, nested at most {_MAX_DEPTH} deep; it is deeper") from None
    except expected as error:
        raise InvalidInputError(f"must be {form}: {' '.join(str(error).split())[:200]}") from error
    return value


def require_plain(value: Any, depth: int = _MAX_DEPTH) -> None:
    """Return where `value` is what files of ours hold: not nested deep, numbers finite and of 64 bits, whole letters.

    Raises:
        ValueError: it is not, which whatever computes or prints with it would find out later.
        RecursionError: it is nested too deep.
    """
    if isinstance(value, dict | list):
        if not depth:
            raise RecursionError
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            require_plain(child, depth - 1)
    elif isinstance(value, str):
        value.encode()  # a half of a letter, which no file can hold, is a ValueError
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"numbers must be finite; came {value}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("whole numbers must fit 64 bits; a greater one came")


def read_text(path: str | Path) -> str:
    """Return the text of a file; InvalidInputError where it is not UTF-8, OSError where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: must be text in UTF-8; came other bytes ({error.reason})") from error


def read_json(path: str | Path) -> Any:
    """Return what a file of JSON holds; InvalidInputError names it where it is damaged, OSError where unreadable."""
    return _named(path, parse_json)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what a file of TOML holds; InvalidInputError names it where it is damaged, OSError where unreadable."""
    table: dict[str, Any] = _named(path, parse_toml)
    return table


def _named(path: str | Path, parse: Callable[[str], Any]) -> Any:
    text = read_text(path)
    try:
        return parse(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


# ---------------------------------------------------------------------------------------------------- our own


def own_prefix() -> str:
    """Return what the name of a temporary file or folder of this process begins with, or has behind its target's."""
    return f"ofa-hw-{_this_host()}-{os.getpid()}-"


def sweep(folder: str | Path) -> None:
    """Remove what processes of ours that are gone have left in `folder` under their `own_prefix`."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _OWN.search(entry.name)
            if not found or found[1] != _this_host() or _is_alive(int(found[2])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()


@functools.cache
def _this_host() -> str:
    # Process ids say nothing of those on another host, or in a container, that shares the folder.
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Create or replace `path` with what `write(file)` writes; on any failure the old file stays as it was.

    The bytes go to a temporary file in the same folder, which is synced and renamed over `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.{own_prefix()}", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def replace_folder(path: str | Path, contents: Mapping[str, bytes]) -> None:
    """Create or replace the folder `path` by one that holds `contents` by name, in one rename; else nothing changes.

    Files that the folder has already are lost.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{own_prefix()}", dir=path.parent))
    try:
        for name, content in contents.items():
            write_bytes(temporary / name, content)
        os.chmod(temporary, 0o755)  # noqa: S103  (mkdtemp's is for its owner alone)
        if path.exists():
            _exchange(temporary, path)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders take each other's place; where the system cannot do so at once, `other` is away for a moment."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    if exchange and not exchange(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        return
    aside = one.with_name(f"{one.name}.old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def require_writable(path: str | Path) -> None:
    """Return where `path` could be written, for work that takes long before it is; OSError says why it could not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.{own_prefix()}", dir=path.parent):
        pass


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    write_atomically(path, lambda file: file.write(content))


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN and infinity are refused."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON; NaN and infinity are refused."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows`, one JSON object a line, to `path` atomically."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def append_jsonl(path: str | Path, row: dict[str, Any]) -> None:
    """Append one JSON object as a line to the journal at `path`, synced to disk before this returns."""
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end and not _ends_in_newline(file):
            # A line that a kill or a full disk tore: the next one begins after the last that is whole.
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _ends_in_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of the journal at `path`; [] where there is none.

    A last line without its newline is what a kill leaves, or what is being written: it is not returned. Nothing is
    written; the next append cuts it off.

    Raises:
        RunError: any other line is not a JSON object.
    """
    path = Path(path)
    if not path.exists():
        return []
    content = path.read_bytes()
    whole, newline, _ = content.rpartition(b"\n")
    rows = []
    for number, line in enumerate(whole.split(b"\n") if newline else [], start=1):
        try:
            row = parse_json(line)
        except InvalidInputError as error:
            raise RunError(f"{path}, line {number}: {error}; remove the line or the file") from error
        if not isinstance(row, dict):
            raise RunError(f"{path}, line {number}: must be a JSON object; remove the line or the file")
        rows.append(row)
    return rows


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of the file at `path` as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
