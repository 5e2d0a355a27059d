"""A front as CSV: a head of `# key: value` lines that are read back as data, then a row for each network."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_hw import __version__
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import parse_json, read_text, write_text
from ofa_hw.search.front import FrontColumn, FrontLimit, FrontTable, ParetoFront
from ofa_hw.space import ArchConfig, SearchSpace

SCHEMA_VERSION = 2
_ADVICE = "make it again with `ofa-hw search`"


def write_front(path: Path, front: ParetoFront) -> None:
    """Write `front` to `path`, atomically; `read_front` gives back an equal one."""
    write_text(path, front_text(front))


def front_text(front: ParetoFront) -> str:
    """Return what stands in the file of `front`."""
    head = {"schema_version": SCHEMA_VERSION, "space": front.space.name, "tool_version": __version__}
    content = io.StringIO()
    content.writelines(f"# {name}: {value}\n" for name, value in head.items())
    content.writelines(f"# {name}: {json.dumps(value)}\n" for name, value in front.head().items())
    writer = csv.writer(content, lineterminator="\n")
    columns = [header for column in front.columns for header in column.headers]
    writer.writerow(("arch_id", *columns, "genes", "arch"))
    for row, arch in zip(front.to_rows(), front.archs, strict=True):
        writer.writerow((row["arch_id"], *(repr(row[name]) for name in columns), row["genes"], arch.to_json()))
    return content.getvalue()


def read_front(path: Path, space: SearchSpace) -> ParetoFront:
    """Return the front in the file at `path`, of networks of `space`.

    Raises:
        RunError: the file is damaged, of another space or of a later schema, or holds no network.
    """
    try:
        head, rows = _read_parts(path)
        if not rows:
            raise InvalidInputError("it holds no network")
        archs = tuple(_arch(row, number, space, path) for number, row in enumerate(rows, start=1))
        version = int(head.get("schema_version", 1))
        if version > SCHEMA_VERSION:
            raise InvalidInputError(f"it has schema version {version}, and this ofa-hw reads up to {SCHEMA_VERSION}")
        facts = _facts(head) if version == SCHEMA_VERSION else _facts_of_old(head, list(rows[0]))
        return ParetoFront(
            space=space,
            archs=archs,
            objectives=tuple(_column(entry, rows, path) for entry in facts["objectives"]),
            others=tuple(_column(entry, rows, path) for entry in facts["others"]),
            limits=tuple(FrontLimit(**entry) for entry in facts["limits"]),
            tables=tuple(FrontTable(**entry) for entry in facts["tables"]),
            num_evaluations=int(facts["num_evaluations"]),
        )
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        reason = error if isinstance(error, InvalidInputError) else f"must be the file of a front ({error!r})"
        raise RunError(f"{path}: {reason}; {_ADVICE}") from error


def _read_parts(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the head by its keys, and the rows by the names of their columns."""
    lines = read_text(path).split("\n")
    num_head = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = dict(line[1:].strip().split(": ", 1) for line in lines[:num_head] if ": " in line)
    reader = csv.DictReader(io.StringIO("\n".join(lines[num_head:]), newline=""), strict=True)
    return head, list(reader)


def _arch(row: Mapping[str, str], number: int, space: SearchSpace, path: Path) -> ArchConfig:
    try:
        arch = ArchConfig.from_json(row["arch"] or "")
        space.validate(arch)
    except InvalidInputError as error:
        raise RunError(f"{path}, row {number}: {error}; {_ADVICE}") from error
    return arch


def _facts(head: Mapping[str, str]) -> dict[str, Any]:
    return {name: parse_json(head[name]) for name in ("objectives", "others", "limits", "tables", "num_evaluations")}


def _facts_of_old(head: Mapping[str, str], headers: Sequence[str]) -> dict[str, Any]:
    """Return the facts of a file of schema 1, whose head is for people.

    It says `objectives: max top1, min latency`, `limits: latency at most 2 ms; ...`, `latency: FILE (device NAME)`; the
    first files say nothing and are of top-1 and latency. The others are latencies, MACs and parameters. In files of
    many devices the head names the latency that is the column `latency` by its device.
    """

    def plain(name: str) -> str:
        is_renamed = name.startswith("latency_") and f"predicted_{name}_ms" not in headers
        return "latency" if is_renamed else name

    lines = [words.partition(" ") for words in head.get("objectives", "max top1, min latency").split(", ")]
    objectives = [_column_of_old(plain(name), direction, headers) for direction, _, name in lines]
    latencies = [
        header.removeprefix("predicted_").removesuffix("_ms")
        for header in headers
        if header.startswith("predicted_latency") and header.endswith("_ms")
    ]
    known = {column["name"] for column in objectives}
    names = [name for name in latencies if not name.endswith(("_low", "_high"))]
    names += [name for name in ("macs", "params") if name in headers]
    others = [_column_of_old(name, "min", headers) for name in names if name not in known]
    known |= {*names}
    told_limits = [_limit_of_old(words) for words in head.get("limits", "").split("; ")]
    limits = [limit | {"name": plain(limit["name"])} for limit in told_limits if plain(limit["name"]) in known]
    origins = {name: head[name].rpartition("device ") for name in known if name in head}
    return {
        "objectives": objectives,
        "others": others,
        "limits": limits,
        "tables": [
            {"name": name, "device": device.removesuffix(")"), "file": file.removesuffix(" (") or None}
            for name, (file, _, device) in sorted(origins.items())
        ],
        "num_evaluations": head.get("num_evaluations", 0),
    }


def _column_of_old(name: str, direction: str, headers: Sequence[str]) -> dict[str, str]:
    """Return what a column is; behind its name, the shortest that begins so, stands its unit."""
    for prefix, source in ((f"predicted_{name}", "predicted"), (name, "counted")):
        found = sorted((header for header in headers if f"{header}_".startswith(f"{prefix}_")), key=len)
        if found:
            unit = found[0].removeprefix(prefix).removeprefix("_")
            return {"name": name, "unit": unit, "direction": direction, "source": source}
    raise InvalidInputError(f"it must have a column of {name}; it has {', '.join(headers)}")


def _limit_of_old(words: str) -> dict[str, Any]:
    """Return the limit that the words `latency at most 2 ms with confidence 0.95` tell."""
    name, _, rest = words.partition(" at ")
    parts = rest.split()
    confidence = float(parts[-1]) if "confidence" in parts else None
    return {"name": name, "bound": float(parts[1].replace(",", "")) if parts else 0.0, "confidence": confidence}


def _column(entry: Mapping[str, str], rows: Sequence[Mapping[str, str]], path: Path) -> FrontColumn:
    """Return the column that `told` describes, with the ends of its intervals where `rows` have them."""
    column = FrontColumn(**{"values": (), "low": (), "high": (), **entry})  # type: ignore[arg-type]
    header, low, high = column.headers
    if low not in rows[0]:
        return dataclasses.replace(column, values=_numbers(rows, header, path), low=None, high=None)
    values, lows, highs = (_numbers(rows, name, path) for name in (header, low, high))
    return dataclasses.replace(column, values=values, low=lows, high=highs)


def _numbers(rows: Sequence[Mapping[str, str]], header: str, path: Path) -> tuple[float, ...]:
    if header not in rows[0]:
        raise InvalidInputError(f"it must have a column {header}; it has {', '.join(map(str, rows[0]))}")
    numbers = []
    for number, row in enumerate(rows, start=1):
        try:
            numbers.append(float(row[header]))
        except (TypeError, ValueError):
            numbers.append(math.nan)
        if not math.isfinite(numbers[-1]):
            raise RunError(f"{path}, row {number}: {header} must be a finite number; came {row[header]!r}; {_ADVICE}")
    return tuple(numbers)
