"""The latency tables of a run, found where its front, its folder or the working folder has them."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from ofa_hw.errors import OfaHwError, RunError
from ofa_hw.lut import LatencyTable
from ofa_hw.run import RunFolder
from ofa_hw.search.front import FrontTable, ParetoFront

TABLES_FOLDER = Path("lut")


def known_tables(run: RunFolder) -> list[Path]:
    """Return the tables that the front of `run` was searched with, else the one of its folder lut/.

    The front tells their files, as seen from the folder in which one worked or from the run; a file that is no longer
    there, or is of another device by now, is left out. A damaged front tells none.
    """
    told: tuple[FrontTable, ...] = ()
    if run.front_path.exists():
        with contextlib.suppress(RunError):  # whoever reads its networks tells of the damage
            told = ParetoFront.read(run.front_path, run.space).tables
    found = [path for table in told if (path := _file_of(table, run))]
    own = sorted((run.path / TABLES_FOLDER).glob("*.csv"))
    return found or (own if len(own) == 1 else [])


def find_tables(run: RunFolder) -> list[Path]:
    """Return `known_tables`, else those of the run's space in lut/ of the working folder."""
    return known_tables(run) or [path for path in sorted(TABLES_FOLDER.glob("*.csv")) if _is_of(path, run)]


def require_tables(run: RunFolder) -> list[Path]:
    """Return the tables to work with where none is given.

    Raises:
        RunError: there is none, with the command that measures one; or there are several to choose from.
    """
    known = known_tables(run)
    found = known or find_tables(run)
    if not found:
        raise RunError(
            f"no latency table of the space {run.space.name} is known; measure one with `{profile_command(run)}`, or "
            "give one by --lut"
        )
    if len(found) > 1 and not known:
        raise RunError(f"there are several tables of the space {run.space.name}: give --lut, of {_listed(found)}")
    return found


def profile_command(run: RunFolder) -> str:
    """Return the command that measures a table for `run` under a name that is free."""
    return shlex.join(["ofa-hw", "profile", "--space", str(run.path), "--out", str(table_to_make(run))])


def table_to_make(run: RunFolder) -> Path:
    """Return where a table of `run` is to be: lut/host.csv, or a name with the space where that is taken."""
    path = TABLES_FOLDER / "host.csv"
    return path.with_name(f"host-{run.space.name}.csv") if path.exists() else path


def _file_of(table: FrontTable, run: RunFolder) -> Path | None:
    if table.file is None:
        return None
    for path in (Path(table.file), run.path / table.file, run.path / TABLES_FOLDER / Path(table.file).name):
        if path.is_file() and LatencyTable.read(path).device == table.device:
            return path
    return None


def _is_of(path: Path, run: RunFolder) -> bool:
    try:
        return LatencyTable.read(path).space == run.space.name
    except OfaHwError:
        return False


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))
