"""The file of a table: `# key: value` lines, then tidy rows that `pandas.read_csv(path, comment="#")` reads."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import InvalidInputError, TableError
from ofa_hw.families import ACTIVATIONS, list_families
from ofa_hw.files import parse_json, read_text, write_text
from ofa_hw.lut.calibration import Calibration, Figures
from ofa_hw.lut.table import LatencyTable
from ofa_hw.profiling.measurement import DTYPES, Measurement, RunConditions
from ofa_hw.space.architecture import plain_ratio

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
"""Version 1 had no attributes of blocks; it is still read."""

_SHARED = ("device", "runtime", "dtype", "batch_size", "num_threads")
"""Conditions that every row repeats, so that rows of several tables can be put into one data frame and told apart."""
_BLOCK = tuple(field.name for field in dataclasses.fields(BlockSpec))
_TIMES = ("median_ms", "mad_ms", "p10_ms", "p90_ms", "ci_low_ms", "ci_high_ms", "num_runs", "process_spread")
_COLUMNS = (*_SHARED, *_BLOCK, *_TIMES, "marks", "method", "measured_at")
_COLUMNS_OF = {"1": tuple(name for name in _COLUMNS if name != "attributes"), str(SCHEMA_VERSION): _COLUMNS}
_CONDITIONS = {field.name: field.type for field in dataclasses.fields(RunConditions)}
_OWN_KEYS = {"schema_version", "space", "num_rows", "tool_version", "calibration", *_CONDITIONS}

# What a cell of these columns may say, and the value that it means.
_WORDS: dict[str, dict[str, Any]] = {
    "activation": {word: word for word in (*ACTIVATIONS, "none")},
    "use_se": {"True": True, "False": False},
    "has_skip": {"True": True, "False": False},
}
_ATTRIBUTE = re.compile(r"([a-z][a-z0-9_]*)=(\d{1,9}(?:\.\d{1,9})?)")
_KEY = re.compile(r"[a-z][a-z0-9_]*")
_MOMENT = re.compile(r"unknown|\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\+00:00|Z))?")


# ---------------------------------------------------------------------------------------------------- writing


def write_table(path: Path, table: LatencyTable) -> None:
    """Write `table` to `path` atomically.

    Raises:
        TableError: a note would not fit the head (its key is not a lower-case word, or its text is not one line), or a
            row has a '#' in its method or marks.
    """
    head: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "space": table.space}
    head |= dataclasses.asdict(table.conditions)
    head["num_rows"] = len(table.measurements)
    head["tool_version"] = table.tool_version
    for key, text in table.notes.items():
        if not _KEY.fullmatch(key) or key in _OWN_KEYS:
            raise TableError(f"{path}: a note's key must be a lower-case word of its own; came {key!r}")
        head[key] = text
    if table.calibration is not None:
        head["calibration"] = json.dumps(dataclasses.asdict(table.calibration), allow_nan=False)
    for key, value in head.items():
        # The head is read back line by line and stripped: anything else would come back changed.
        if str(value) != str(value).strip() or len(str(value).splitlines()) != 1:
            raise TableError(f"{path}: {key} must be one line of text without blanks around; came {str(value)!r}")
    for row in table.measurements:
        # pandas.read_csv(comment="#") would cut the row there.
        if "#" in row.method + row.marks:
            raise TableError(f"{path}: method and marks must not hold '#', which begins a comment; came {row.method!r}")
    content = io.StringIO()
    content.writelines(f"# {key}: {value}\n" for key, value in head.items())
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(row) for row in table.measurements)
    write_text(path, content.getvalue())


def table_frame(table: LatencyTable) -> pd.DataFrame:
    """Return the rows of `table` as they stand in its file; what is unknown is missing."""
    import pandas as pd

    return pd.DataFrame([_values(row) for row in table.measurements], columns=list(_COLUMNS))


def _cells(row: Measurement) -> list[str]:
    values = _values(row)
    return ["" if values[name] is None else str(values[name]) for name in _COLUMNS]


def _values(row: Measurement) -> dict[str, Any]:
    values = {name: getattr(row.conditions, name) for name in _SHARED}
    values |= {name: getattr(row.block, name) for name in _BLOCK}
    values["attributes"] = " ".join(f"{name}={value:g}" for name, value in row.block.attributes)
    return values | {name: getattr(row, name) for name in (*_TIMES, "marks", "method", "measured_at")}


# ---------------------------------------------------------------------------------------------------- reading


def read_table(path: Path, *, uncalibrated: bool = False) -> LatencyTable:
    """Return the table at `path`; TableError names file, line and column of the first fault.

    With `uncalibrated` its calibration, which may be of an older form, is left out.
    """
    try:
        text = read_text(path)
    except FileNotFoundError as error:
        raise TableError(f"{path}: there is no such table; make one with `ofa-hw profile --out {path}`") from error
    except InvalidInputError as error:
        raise TableError(str(error)) from error
    lines = text.splitlines()
    head, num_head = _read_head(path, lines)
    conditions = _read_conditions(path, head)
    body = lines[num_head:]
    rows: list[Measurement] = []
    first_lines: dict[BlockSpec, int] = {}
    columns = _COLUMNS_OF[head["schema_version"]]
    for number, cells in _numbered_rows(path, body, num_head, columns):
        row = _read_row(_Row(path, number, cells, columns), conditions)
        if row.block in first_lines:
            raise TableError(
                f"{path}, line {number}: each block must stand once; {row.block.key} stands in line "
                f"{first_lines[row.block]} too"
            )
        first_lines[row.block] = number
        rows.append(row)
    # A file that was cut lacks rows, or the line end of its last row.
    if len(rows) != _whole(head.get("num_rows", "")) or not text.endswith("\n"):
        raise TableError(
            f"{path}, line {len(lines)}: must have the {head.get('num_rows', '?')} rows that num_rows tells of; came "
            f"{len(rows)}, so the file was cut or edited: profile again, or correct num_rows"
        )
    return LatencyTable(
        space=head["space"],
        measurements=tuple(rows),
        notes={key: value for key, value in head.items() if key not in _OWN_KEYS},
        calibration=None if uncalibrated else _read_calibration(path, head.get("calibration")),
        tool_version=head.get("tool_version", "unknown"),
        origin=path,
    )


def _read_head(path: Path, lines: list[str]) -> tuple[dict[str, str], int]:
    head: dict[str, str] = {}
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.startswith("#"):
            number -= 1  # noqa: PLW2901 - the line belongs to the body
            break
        key, colon, value = line[1:].partition(":")
        key = key.strip()
        if not colon or not _KEY.fullmatch(key):
            raise TableError(f"{path}, line {number}: a line of the head must be `# key: value`; came {line[:50]!r}")
        if key in head:
            raise TableError(
                f"{path}, line {number}: {key} stands twice in the head; two tables must not be joined in one file"
            )
        head[key] = value.strip()
    if head.get("schema_version") not in _COLUMNS_OF:
        raise TableError(
            f"{path}: schema_version must be {' or '.join(_COLUMNS_OF)}; came {head.get('schema_version', 'none')}: "
            "profile again, or use the version of ofa-hw that wrote it"
        )
    missing = [key for key in ("space", *_CONDITIONS, "num_rows") if not head.get(key)]
    if missing:
        raise TableError(
            f"{path}: the head must tell {', '.join(missing)}; profile again, or add the lines `# key: value`"
        )
    return head, number


def _read_conditions(path: Path, head: Mapping[str, str]) -> RunConditions:
    values: dict[str, Any] = {name: head[name] for name in _CONDITIONS}
    for name in ("batch_size", "num_threads"):
        values[name] = _whole(head[name])
        if values[name] is None or values[name] < 1:
            raise TableError(f"{path}: {name} in the head must be a whole number above 0; came {head[name]!r}")
    if head["dtype"] not in DTYPES:
        raise TableError(f"{path}: dtype in the head must be one of {', '.join(DTYPES)}; came {head['dtype']!r}")
    return RunConditions(**values)


def _read_calibration(path: Path, text: str | None) -> Calibration | None:
    if text is None:
        return None
    try:
        value = parse_json(text)
        figures = tuple(Figures(**entry) for entry in value["figures"])
        return Calibration(**{**value, "covariance": tuple(value["covariance"]), "figures": figures})
    except (AttributeError, ValueError, TypeError, KeyError) as error:
        raise TableError(
            f"{path}: calibration in the head is damaged ({error}); run `ofa-hw calibrate --lut {path}`"
        ) from error


def _numbered_rows(
    path: Path, body: list[str], num_head: int, expected: tuple[str, ...]
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(body, strict=True)
    try:
        columns = next(reader, [])
        if tuple(columns) != expected:
            # Names on one side only; none where the order alone differs.
            odd = sorted(set(columns) ^ set(expected)) or ["their order"]
            raise TableError(
                f"{path}, line {num_head + 1}: columns must be {', '.join(expected)}; what differs is {', '.join(odd)}"
            )
        for cells in reader:
            if cells and cells[0].lstrip().startswith("#"):
                raise TableError(
                    f"{path}, line {num_head + reader.line_num}: a head must not begin again; two tables were joined"
                )
            if cells:
                yield num_head + reader.line_num, cells
    except csv.Error as error:
        raise TableError(f"{path}, line {num_head + reader.line_num}: must be CSV: {error}") from error


class _Row:
    """The cells of one line, each read with a fault that names line and column."""

    def __init__(self, path: Path, number: int, cells: list[str], expected: tuple[str, ...]) -> None:
        self.where = f"{path}, line {number}"
        if len(cells) != len(expected):
            raise TableError(
                f"{self.where}: must have {len(expected)} columns; came {len(cells)}, so the line was cut or edited"
            )
        self.cells = dict(zip(expected, cells, strict=True))

    def read(self, column: str, convert: Callable[[str], Any], what: str) -> Any:
        """Return the converted cell, or raise what it must be."""
        value = convert(self.cells[column])
        if value is None:
            raise TableError(f"{self.where}, column {column}: must be {what}; came {self.cells[column]!r}")
        return value

    def optional(self, column: str, convert: Callable[[str], Any], what: str) -> Any:
        """Return the converted cell, None where it is empty."""
        return None if self.cells[column] == "" else self.read(column, convert, what)


def _read_row(row: _Row, conditions: RunConditions) -> Measurement:
    for column in _SHARED:
        expected = str(getattr(conditions, column))
        if row.cells[column] != expected:
            raise TableError(
                f"{row.where}, column {column}: must be {expected!r} as in the head; came {row.cells[column]!r}, and "
                "a table holds one set of conditions"
            )
    values: dict[str, Any] = {
        name: row.read(name, _positive, "a finite number above 0") for name in ("median_ms", "ci_low_ms", "ci_high_ms")
    }
    values |= {
        name: row.optional(name, _positive, "a finite number above 0, or empty") for name in ("p10_ms", "p90_ms")
    }
    for name in ("mad_ms", "process_spread"):
        values[name] = row.optional(name, _not_negative, "a finite number of 0 or more, or empty")
    values["num_runs"] = row.read("num_runs", _whole, "a whole number")
    values["measured_at"] = row.read("measured_at", _moment, "a time such as 2026-01-31T12:00:00+00:00, or unknown")
    try:
        return Measurement(
            block=_read_block(row),
            conditions=conditions,
            marks=row.cells["marks"],
            method=row.cells["method"],
            **values,
        )
    except InvalidInputError as error:
        # Messages of `Measurement` begin with the name of the field.
        raise TableError(f"{row.where}, column {str(error).split()[0]}: {error}") from error


def _read_block(row: _Row) -> BlockSpec:
    numbers = ("input_size", "in_channels", "mid_channels", "out_channels", "kernel_size", "stride")
    values: dict[str, Any] = {name: row.read(name, _whole, "a whole number of 0 or more") for name in numbers}
    for name in ("input_size", "in_channels", "out_channels", "stride"):
        row.read(name, lambda text: _whole(text) or None, "a whole number above 0")
    for name, choices in (("kind", {word: word for word in list_families()}), *_WORDS.items()):
        values[name] = row.read(name, choices.get, f"one of {', '.join(choices)}")
    if row.cells.get("attributes"):
        values["attributes"] = row.read("attributes", _attributes, "pairs such as start_kernel_size=5, blanks between")
    return BlockSpec(**values)


def _attributes(text: str) -> tuple[tuple[str, float], ...] | None:
    pairs = [_ATTRIBUTE.fullmatch(word) for word in text.split(" ")]
    if None in pairs:
        return None
    return tuple((pair[1], plain_ratio(pair[2])) for pair in pairs if pair)


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def _positive(text: str) -> float | None:
    value = _not_negative(text)
    return value or None


def _not_negative(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _moment(text: str) -> str | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        if text != "unknown":
            dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return text
