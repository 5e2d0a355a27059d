"""Options that several commands share, each one decorator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def run_option(function: F) -> F:
    """Add `--run`, handed over as `run`: a Path, or None for the last run that was made."""
    return click.option(
        "--run",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the run.  [default: the last run below runs/]",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`, handed over as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def seed_option(function: F) -> F:
    """Add `--seed`, handed over as `seed`: a whole number, 0 by default."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."
    )(function)


def threads_option(function: F) -> F:
    """Add `--threads`, handed over as `threads`: None for one a core."""
    return click.option(
        "--threads", type=click.IntRange(min=1), help="Threads to compute with.  [default: one a core]"
    )(function)
