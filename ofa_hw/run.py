"""A run folder: where every command finds what the commands before it made."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import append_jsonl, read_jsonl, read_toml, write_text
from ofa_hw.space import SearchSpace, get_space

RUNS_FOLDER = Path("runs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command line that ended well on a run, the version of ofa-hw, and when it ended (UTC, ISO 8601).

    A training's is noted when it begins.
    """

    command: str
    tool_version: str
    ended_at: str


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `runs/<name>`; its files have one name each, whoever reads or writes them."""

    path: Path

    @classmethod
    def create(cls, path: str | Path, config: dict[str, Any]) -> RunFolder:
        """Make the folder with its resolved `config` (a table `space`, and one for each stage of the work).

        Raises:
            RunError: there is a run already.
        """
        run = cls(Path(path))
        if run.config_path.exists():
            raise RunError(f"{run.path} already holds a run; choose another --run, or go on with it by --resume")
        write_text(run.config_path, tomli_w.dumps(config))
        return run

    @classmethod
    def open(cls, path: str | Path | None = None) -> RunFolder:
        """Return the run at `path`, or the last that was made below `runs/`.

        Raises:
            RunError: there is none.
        """
        if path is None:
            configs = sorted(RUNS_FOLDER.glob("*/config.toml"), key=lambda config: config.stat().st_mtime_ns)
            if not configs:
                raise RunError("there is no run below runs/ yet; make one with `ofa-hw train` or `ofa-hw demo`")
            return cls(configs[-1].parent)
        run = cls(Path(path))
        if not run.config_path.exists():
            raise RunError(
                f"{run.path} is not a run folder (it has no config.toml); make one with "
                f"`ofa-hw train --run {shlex.quote(str(run.path))}`"
            )
        return run

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no other process appends to its journals meanwhile; the system frees it at any end.

        Raises:
            RunError: another process holds it.
        """
        with open(self.path / ".lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise RunError(
                    f"one process at a time may work on {self.path}; process {file.read()} does: wait until it ends"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
        self.require_there()

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; RunError where config.toml is damaged."""
        try:
            return read_toml(self.config_path)
        except (OSError, InvalidInputError) as error:
            raise RunError(str(error)) from error

    def add_to_config(self, name: str, table: Mapping[str, Any]) -> None:
        """Write the table `name` into config.toml, beside what is there."""
        write_text(self.config_path, tomli_w.dumps(self.config | {name: dict(table)}))

    @property
    def space(self) -> SearchSpace:
        """The space of the run, as config.toml spells it out."""
        try:
            return SearchSpace.from_dict(self.config["space"])
        except (KeyError, InvalidInputError) as error:
            raise RunError(f"{self.config_path}: [space] must describe a search space: {error}") from error

    def require_there(self) -> None:
        """Return where the run is still there; RunError where its folder was removed meanwhile."""
        if not self.config_path.exists():
            raise RunError(
                f"{self.path} was removed while it was worked on; what stands there now is no run: remove it, and "
                "begin anew"
            )

    def require(self, path: Path, command: str) -> Path:
        """Return `path` where it exists; RunError with the `command` that makes it where it does not."""
        if not path.exists():
            raise RunError(f"{path} is missing; make it with `{command} --run {shlex.quote(str(self.path))}`")
        return path

    def note_command(self, command: str, tool_version: str) -> None:
        """Append a command line that has ended well to the journal of the run."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        append_jsonl(self.commands_path, {"command": command, "tool_version": tool_version, "ended_at": now})

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands that ended well on this run, the first first; RunError names a damaged line."""
        commands = []
        for number, row in enumerate(read_jsonl(self.commands_path), start=1):
            try:
                commands.append(Command(**{name: str(value) for name, value in row.items()}))
            except TypeError as error:
                raise RunError(f"{self.commands_path}, line {number}: must be a command ({error})") from error
        return tuple(commands)

    @property
    def commands_path(self) -> Path:
        """The journal of the commands that were run on this folder."""
        return self.path / "commands.jsonl"

    @property
    def config_path(self) -> Path:
        """The resolved configuration, TOML."""
        return self.path / "config.toml"

    @property
    def checkpoints_path(self) -> Path:
        """The folder of training checkpoints."""
        return self.path / "checkpoints"

    @property
    def images_path(self) -> Path:
        """The folder of what was found and decoded of the images; it may be removed, and is made anew."""
        return self.path / "images"

    @property
    def supernet_path(self) -> Path:
        """The trained weights."""
        return self.path / "supernet.safetensors"

    @property
    def start_path(self) -> Path:
        """The weights that training began from, where they are another run's."""
        return self.path / "start.safetensors"

    @property
    def metrics_path(self) -> Path:
        """The journal of training."""
        return self.path / "metrics.jsonl"

    @property
    def samples_path(self) -> Path:
        """The journal of evaluated subnets, one `EvaluatedArch` a line."""
        return self.path / "samples.jsonl"

    @property
    def predictor_path(self) -> Path:
        """The folder of the accuracy predictor."""
        return self.path / "predictor"

    @property
    def front_path(self) -> Path:
        """The front that the search found, CSV."""
        return self.path / "pareto.csv"

    @property
    def verified_path(self) -> Path:
        """The front's networks, re-evaluated and re-timed, CSV."""
        return self.path / "verified.csv"

    @property
    def whole_nets_path(self) -> Path:
        """Whole networks, the sum of their blocks beside what was measured, CSV."""
        return self.path / "whole_nets.csv"

    @property
    def exported_path(self) -> Path:
        """The folder of exported networks."""
        return self.path / "exported"


def find_space(name: str) -> SearchSpace:
    """Return the space of this name, of the TOML file, or of the run folder at this path (its classes are the images').

    Raises:
        InvalidInputError: there is no such space; the message lists the names.
        RunError: the run's config.toml is damaged.
    """
    if (Path(name) / "config.toml").is_file():
        return RunFolder.open(name).space
    return get_space(name)
