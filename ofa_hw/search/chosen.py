"""The networks of a run by name, and the fronts of searches before, so that a name outlives a new search."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import write_bytes
from ofa_hw.predictor.samples import read_samples
from ofa_hw.run import RunFolder
from ofa_hw.search.front import ParetoFront
from ofa_hw.space import ArchConfig

MIN_START = 4
"""Fewer digits are the number of a row, as long as there is such a row, and not the start of an id."""


def find_network(run: RunFolder, name: str) -> ArchConfig:
    """Return the network `name` of `run`: its id, any unique start of it, or the number of its row in pareto.csv.

    Known are the networks of every front of the run, of earlier ones too, the verified, fine-tuned and sampled ones.

    Raises:
        InvalidInputError: there is no such network, several, or the number means another one on an earlier front.
        RunError: a file is damaged; for a number, there is no front.
    """
    name = name.strip().lower()
    is_number = name.isdecimal() and int(name) <= len(_read(run, run.front_path))
    found = {}
    if not is_number or len(name) >= MIN_START:
        found = {arch.arch_id: arch for arch in _known_networks(run) if name and arch.arch_id.startswith(name)}
    if is_number:
        arch = _by_number(run, int(name))
        found[arch.arch_id] = arch
    if len(found) > 1:
        raise InvalidInputError(f"{name!r} means several networks of {run.path}: {', '.join(sorted(found))}")
    if not found:
        raise InvalidInputError(
            f"{run.path} knows no network {name!r}; give an id as `ofa-hw search` and the report show it, its start, "
            f"or the number of one of the {len(_read(run, run.front_path))} rows of {run.front_path}"
        )
    return next(iter(found.values()))


def keep_replaced(path: Path, content: str) -> Path | None:
    """Keep the front at `path`, which `content` is to replace, beside it under a name by its own content.

    Return where it is now; None where there is none, or `content` is the same.
    """
    before = path.read_bytes() if path.exists() else None
    if before is None or before == content.encode():
        return None
    kept = path.with_name(f"{path.stem}.{hashlib.sha256(before).hexdigest()[:8]}{path.suffix}")
    write_bytes(kept, before)
    return kept


def _by_number(run: RunFolder, number: int) -> ArchConfig:
    """Return the network of this row of pareto.csv, as long as no earlier front has another one there."""
    if not number:
        raise InvalidInputError("networks are numbered from 1; came 0")
    arch = _read(run, run.front_path)[number - 1]
    for path in sorted(run.path.glob(f"{run.front_path.stem}.*{run.front_path.suffix}")):
        before: tuple[ArchConfig, ...] = ()
        with contextlib.suppress(RunError):
            before = _read(run, path)[number - 1 : number]
        if before and before[0] != arch:
            raise InvalidInputError(
                f"network {number} is {arch.arch_id} in {run.front_path}, and was {before[0].arch_id} in {path}, a "
                "front before: give the id of the one that is meant"
            )
    return arch


def _known_networks(run: RunFolder) -> Iterator[ArchConfig]:
    for path in sorted(run.path.glob(f"{run.front_path.stem}*{run.front_path.suffix}")):
        # A damaged front that was replaced is kept as it is.
        with contextlib.suppress(*([] if path == run.front_path else [RunError])):
            yield from _read(run, path)
    if run.verified_path.exists():
        with open(run.verified_path, encoding="utf-8", newline="") as file:
            yield from (ArchConfig.from_json(row["arch"]) for row in csv.DictReader(file) if row.get("arch"))
    for path in sorted(run.exported_path.glob("*.safetensors")):
        yield from _of_weights(path)
    yield from (sample.arch for sample in read_samples(run.samples_path))


def _read(run: RunFolder, path: Path) -> tuple[ArchConfig, ...]:
    return ParetoFront.read(path, run.space).archs if path.exists() else ()


def _of_weights(path: Path) -> Iterator[ArchConfig]:
    """Return the network that a file of fine-tuned weights tells in its head."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            arch_json = (file.metadata() or {}).get("arch")
    except SafetensorError as error:
        raise InvalidInputError(f"{path} is damaged ({error}); fine-tune the network again") from error
    if arch_json:
        yield ArchConfig.from_json(arch_json)
