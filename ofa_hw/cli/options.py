"""Options that several commands share, each one decorator."""

from __future__ import annotations

import contextlib
import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from ofa_hw.run import RunFolder
    from ofa_hw.space import ArchConfig

F = TypeVar("F", bound=Callable[..., Any])


def run_option(function: F) -> F:
    """Add `--run`, handed over as `run`: a Path, or None for the last run that was made.

    A command that ends well is noted in the run, from where the report tells what made its files.
    """

    @functools.wraps(function)
    def noted(*, run: Path | None, **options: Any) -> Any:
        opened = _opened(run)
        result = function(run=run, **options)
        note_command(opened)
        return result

    return click.option(
        "--run",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the run.  [default: the last run below runs/]",
    )(cast("F", noted))


def _opened(run: Path | None) -> Path | None:
    """Return the run that a command works on; None where there is none, which the command tells itself."""
    from ofa_hw.errors import OfaHwError
    from ofa_hw.run import RunFolder

    with contextlib.suppress(OfaHwError):
        return RunFolder.open(run).path
    return None


def note_command(run: Path | None) -> None:
    """Append the command line that is being run to the journal of the run that it was run on.

    Raises:
        RunError: the run is gone, and what was written into its folder meanwhile is none.
    """
    from ofa_hw import __version__
    from ofa_hw.run import RunFolder

    if run is None:
        return
    folder = RunFolder(run)
    folder.require_there()
    with contextlib.suppress(OSError):  # what the command made is there, whatever becomes of the note
        folder.note_command(command_line(), __version__)


def command_line() -> str:
    """Return the words that this command was called with."""
    words = click.get_current_context().find_root().meta.get("ofa_hw.words", ())
    return shlex.join(["ofa-hw", *words])


def json_option(function: F) -> F:
    """Add `--json`, handed over as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def seed_option(function: F) -> F:
    """Add `--seed`, handed over as `seed`: a whole number, 0 by default."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."
    )(function)


def chosen_options(function: F) -> F:
    """Add `--pick` and `--arch`, handed over as `pick` and `arch_file`; `chosen_arch` reads them."""
    function = click.option(
        "--arch",
        "arch_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with the JSON of an architecture.",
    )(function)
    return click.option(
        "--pick", type=click.IntRange(min=1), help="The network of this place in pareto.csv, the first is 1."
    )(function)


def chosen_arch(run: RunFolder, pick: int | None, arch_file: Path | None) -> ArchConfig:
    """Return the architecture that `--pick` or `--arch` names; a usage error where it is neither or both."""
    from ofa_hw.search import ParetoFront
    from ofa_hw.space import ArchConfig

    if (pick is None) == (arch_file is None):
        raise click.UsageError("give either --pick or --arch")
    if arch_file is not None:
        from ofa_hw.errors import InvalidInputError
        from ofa_hw.files import read_text

        text = read_text(arch_file)
        try:
            return ArchConfig.from_json(text)
        except InvalidInputError as error:
            raise InvalidInputError(f"{arch_file}: {error}") from error
    archs = ParetoFront.read(run.require(run.front_path, "ofa-hw search"), run.space).archs
    if pick is None or pick > len(archs):
        raise click.BadParameter(f"the front has {len(archs)} networks; came {pick}", param_hint="--pick")
    return archs[pick - 1]


def threads_option(function: F) -> F:
    """Add `--threads`, handed over as `threads`: None for one a core."""
    return click.option(
        "--threads", type=click.IntRange(min=1), help="Threads to compute with.  [default: one a core]"
    )(function)
