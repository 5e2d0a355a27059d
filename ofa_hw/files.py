"""Files that are whole or absent: atomic writes, and journals that survive a kill."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ofa_hw.errors import RunError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Create or replace `path` with what `write(file)` writes; on any failure the old file stays as it was.

    The bytes go to a temporary file in the same folder, which is synced and renamed over `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
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
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
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
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent):
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
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise RunError(f"{path}, line {number}: must be a JSON object; remove the line or the file")
        rows.append(row)
    return rows


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of the file at `path` as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
