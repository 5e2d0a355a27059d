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
    from ofa_hw.formats.operations import Normalisation
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
        if run is not None or not options.get("space_name"):  # what is asked of a space alone is of no run
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


def table_note(command: str) -> dict[str, str]:
    """Return the command line that is being run as a note for the head of a latency table, `<command>_command`."""
    return {f"{command}_command": " ".join(command_line().splitlines())}


def told_command(*words: object) -> str:
    """Return the `ofa-hw` command of `words` as it can be pasted into a shell."""
    return shlex.join(["ofa-hw", *map(str, words)])


def json_option(function: F) -> F:
    """Add `--json`, handed over as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def seed_option(function: F) -> F:
    """Add `--seed`, handed over as `seed`: a whole number, 0 by default."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."
    )(function)


PICK_HELP = "The network by its id, any unique start of it, or the number of its row in pareto.csv."


def chosen_options(function: F) -> F:
    """Add `--pick` and `--arch`, handed over as `pick` and `arch`; `chosen_arch` reads them."""
    function = click.option("--arch", metavar="FILE|ID", help="A file with the JSON of an architecture, or an id.")(
        function
    )
    return click.option("--pick", metavar="ID|NUMBER", help=PICK_HELP)(function)


def chosen_arch(run: RunFolder, pick: str | None, arch: str | None) -> ArchConfig:
    """Return the architecture that `--pick` or `--arch` names; a usage error where it is neither or both."""
    from ofa_hw.search.chosen import find_network
    from ofa_hw.space import ArchConfig

    if (pick is None) == (arch is None):
        raise click.UsageError("give either --pick or --arch")
    if arch is not None and Path(arch).is_file():
        from ofa_hw.errors import InvalidInputError
        from ofa_hw.files import read_text

        try:
            return ArchConfig.from_json(read_text(arch))
        except InvalidInputError as error:
            raise InvalidInputError(f"{arch}: {error}") from error
    return find_network(run, pick or arch or "")


def max_bad_images_option(function: F) -> F:
    """Add `--max-bad-images`, handed over as `max_bad_images`."""
    return click.option(
        "--max-bad-images",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Damaged images to leave out.",
    )(function)


class Channels(click.ParamType[Any]):
    """A number for each channel, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the numbers as a tuple."""
        try:
            return value if isinstance(value, tuple) else tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(f"must be a number for each channel, such as 0.485,0.456,0.406; came {value!r}", param, ctx)


def normalisation_options(function: F) -> F:
    """Add `--mean` and `--std`, handed over as `mean` and `std`; `told_normalisation` reads them."""
    for name, what in (("--std", "Standard deviation"), ("--mean", "Mean")):
        function = click.option(
            name,
            type=Channels(),
            metavar="R,G,B",
            help=f"{what} of the channels, from 0 to 1, that the weights expect.  [default: ImageNet's]",
        )(function)
    return function


def told_normalisation(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> Normalisation | None:
    """Return what `--mean` and `--std` tell together; None where neither was given."""
    from ofa_hw.formats.operations import Normalisation

    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise click.UsageError("give both --mean and --std, or neither")
    return Normalisation(mean=mean, std=std)


def threads_option(function: F) -> F:
    """Add `--threads`, handed over as `threads`: None for one a core."""
    return click.option(
        "--threads", type=click.IntRange(min=1), help="Threads to compute with.  [default: one a core]"
    )(function)


class ByteCount(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    """A number of bytes as a person writes it: 2GB, 500MiB, or 0."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; a usage error where it is none."""
        from ofa_hw.errors import InvalidInputError
        from ofa_hw.search.quantities import read_quantity

        if str(value).strip() in ("0", "0GB", "0MB"):
            return 0
        try:
            return int(read_quantity(str(value), "bytes"))
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


def cache_option(function: F) -> F:
    """Add `--cache-size`, handed over as `cache_bytes`: None for what the run was made with."""
    return click.option(
        "--cache-size",
        "cache_bytes",
        type=ByteCount(),
        help="What decoded photos may take in the run's folder, such as 500MB; 0: nothing is kept.  "
        "[default: what train was told, else 2GB]",
    )(function)


def workers_option(function: F) -> F:
    """Add `--workers`, handed over as `num_workers`: None for one a core, 8 at most."""
    return click.option(
        "--workers",
        "num_workers",
        type=click.IntRange(min=0),
        help="Processes that read photos; images in memory want none.  [default: one a core, 8 at most]",
    )(function)
