"""One damaged file after the other, and what becomes of each: read, refused by one line, a traceback, or a hang."""

from __future__ import annotations

import dataclasses
import random
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ofa_hw.cli.main import message_of
from ofa_hw.errors import OfaHwError
from tests.fuzz.kinds import KINDS, Kind
from tests.fuzz.mutations import mutate

READ, REFUSED, TRACEBACK, HANG = "read", "refused", "traceback", "hang"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case; `told` is the line that refused it, or the traceback."""

    kind: str
    seed: int
    file: str
    result: str
    told: str = ""


class _HangError(BaseException):
    pass


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def end(*_: object) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_case(name: str, seed: int, folder: Path) -> Outcome:
    """Damage a file of the kind `name` in the `folder` that `prepare` made, read it, and put it back."""
    kind, rng = KINDS[name], random.Random(f"{name} {seed}")
    path = rng.choice(files_of(kind, folder))
    facts = path.parent / "predictor.json"
    kept = {each: each.read_bytes() for each in {path, facts if facts.exists() else path}}
    path.write_bytes(mutate(kept[path], rng))
    try:
        result, told = read_file(kind, path)
    finally:
        for each, content in kept.items():
            each.write_bytes(content)
    return Outcome(kind=name, seed=seed, file=path.relative_to(folder).as_posix(), result=result, told=told)


def files_of(kind: Kind, folder: Path) -> list[Path]:
    """Return the files of a kind in the folder that `prepare` made."""
    return sorted(path for pattern in kind.patterns for path in folder.glob(pattern) if path.is_file())


def read_file(kind: Kind, path: Path) -> tuple[str, str]:
    """Return what becomes of reading a file, and what is told."""
    try:
        with _limited(kind.seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path)
    except _HangError:
        return HANG, f"more than {kind.seconds} s"
    except (OfaHwError, OSError, click.UsageError) as error:
        line = message_of(error)
        return (REFUSED, line) if line else (TRACEBACK, f"no message: {error!r}")
    except BaseException:  # noqa: BLE001 - that is what is looked for
        return TRACEBACK, traceback.format_exc()
    return READ, ""
