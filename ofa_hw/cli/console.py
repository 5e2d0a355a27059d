"""What a person sees: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unicodedata import category

import click

from ofa_hw.progress import ProgressCallback, no_progress

_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories: control characters, those of direction and joining, halves of letters, line ends of its own."""

PLAIN_INTERVAL_S = 10.0
"""How often work tells how far it is where stderr is no terminal."""


def shown(text: str) -> str:
    """Return `text` with all that would steer a terminal escaped, such as `\\x1b`; line ends stay.

    Tables, names, files and phones are of others: their texts may hold codes that rewrite what is on the screen.
    """
    return "".join(
        character if character in "\n\t" or category(character) not in _STEERING else repr(character)[1:-1]
        for character in text
    )


def echo(text: str, *, err: bool = False) -> None:
    """Print `text` to stdout, with `err` to stderr, as `shown`; all that commands print passes here or by `print_`."""
    click.echo(shown(text), err=err)


def print_json(value: Any) -> None:
    """Print `value` as JSON to stdout; NaN and infinity are refused."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table to stdout: text to the left, columns of numbers to the right, None as a dash.

    The caller rounds: a float is printed as it is. Nothing is cut where stdout is no terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    table = Table(
        box=SIMPLE_HEAD, title=Text(shown(title)) if title else None, title_justify="left", title_style="bold"
    )
    for index, column in enumerate(columns):
        is_number = all(_looks_like_number(row[index]) for row in rows)
        table.add_column(Text(shown(column)), justify="right" if rows and is_number else "left")
    for row in rows:
        table.add_row(*(Text("–" if cell is None else shown(str(cell))) for cell in row))
    # A pipe has no width: 10,000 columns hold any row, and only what the table needs is written.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_facts(facts: Iterable[tuple[str, object]], *, title: str | None = None) -> None:
    """Print names and values to stdout, one pair a line, the values aligned."""
    facts = [(name, "–" if value is None else str(value)) for name, value in facts]
    width = max((len(name) for name, _ in facts), default=0)
    if title:
        click.secho(shown(title), bold=True)
    for name, value in facts:
        echo(f"  {name:<{width}}  {value}")


def told_ms(ms: float) -> str:
    """Return a latency in the unit that fits it: 41.2 µs, 3.04 ms, 1.2 s."""
    factor, unit = (1e3, "µs") if ms < 1 else (1.0, "ms") if ms < 1000 else (1e-3, "s")
    return f"{ms * factor:.3g} {unit}"


def remark(text: str) -> None:
    """Print a line to stderr: what a person should know, and a script need not read."""
    echo(text, err=True)


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Yield the callback that shows work on stderr: bars with the time left, or plain lines without a terminal.

    With `quiet` it shows nothing: of several processes one alone tells.
    """
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bars() as callback:
            yield callback
    else:
        yield plain_progress(remark, time.monotonic)


@contextmanager
def _bars() -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, Any] = {}

    def callback(description: str, done: int, total: int) -> None:
        if description not in tasks:
            tasks[description] = bars.add_task(escape(shown(description)), total=total)
        bars.update(tasks[description], completed=done, total=total)

    with bars:
        yield callback


def plain_progress(write: Callable[[str], object], clock: Callable[[], float]) -> ProgressCallback:
    """Return a callback that writes a line when work begins, every `PLAIN_INTERVAL_S` seconds, and when it ends."""
    begun: dict[str, tuple[float, int]] = {}
    written: dict[str, float] = {}
    ended: set[str] = set()

    def callback(description: str, done: int, total: int) -> None:
        now = clock()
        begin, done_before = begun.setdefault(description, (now, done))
        if description in ended or (done < total and now - written.get(description, -1e9) < PLAIN_INTERVAL_S):
            return
        written[description] = now
        elapsed = now - begin
        if done >= total:
            ended.add(description)
            write(f"{description}: {total}/{total}, {_duration(elapsed)}")
        elif done > done_before:
            left = elapsed / (done - done_before) * (total - done)
            write(f"{description}: {done}/{total}, {_duration(elapsed)}, {_duration(left)} left")
        else:
            write(f"{description}: {done}/{total}")

    return callback


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _looks_like_number(cell: object) -> bool:
    if cell is None or isinstance(cell, int | float):
        return True
    words = str(cell).split()
    return bool(words) and words[0].lstrip("+-±").replace(".", "", 1).replace(",", "").rstrip("%x").isdigit()
