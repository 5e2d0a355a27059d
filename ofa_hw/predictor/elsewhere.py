"""Accuracies that others have measured: a table of architectures with their top-1."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, SearchSpace

_FORMS = "arch (the JSON of an architecture), or ks, e, d and r (once-for-all's lists joined by dashes; e, d, w and r)"


def read_measured_top1(path: str | Path, space: SearchSpace) -> tuple[list[ArchConfig], FloatArray]:
    """Return the architectures of a table and their top-1 as fractions (n,).

    The table is CSV, or CSV in gzip, with `top1` in percent or as fractions, in one of them throughout, and `arch`, the
    JSON of an architecture, or once-for-all's lists `ks`, `e`, `d`, joined by dashes, and the resolution `r`. With
    `arch` a column `r` replaces its resolution. Other columns are passed over.

    Raises:
        InvalidInputError: the columns are not there; or naming the line that is not of `space` or has no top-1.
    """
    path = Path(path)
    archs, top1 = [], []
    reader = csv.DictReader(io.StringIO(_read_text(path)), restval="")
    columns = set(reader.fieldnames or ())
    if "top1" not in columns or not ("arch" in columns or {"e", "d", "r"} < columns):
        raise InvalidInputError(f"{path} must have a column top1 and {_FORMS}; came {', '.join(sorted(columns))}")
    for row in reader:
        try:
            arch = _read_arch(row)
            space.validate(arch)
            archs.append(arch)
            top1.append(float(row["top1"]))
        except (InvalidInputError, ValueError, TypeError) as error:
            raise InvalidInputError(f"{path}, line {reader.line_num}: {error}") from error
    values = np.array(top1)
    wrong = np.flatnonzero(~((values >= 0) & (values <= 100)))
    if len(wrong):
        raise InvalidInputError(f"{path}: top1 must be from 0 to 100 %; came {values[wrong[0]]} in row {wrong[0] + 1}")
    return archs, values / 100 if len(values) and values.max() > 1 else values


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} must be CSV, or CSV in gzip with the ending .gz: {error}") from error


def _read_arch(row: Mapping[str, str]) -> ArchConfig:
    if "arch" in row:
        arch = ArchConfig.from_json(row["arch"])
        return ArchConfig.from_dict({**arch.to_dict(), "resolution": int(row["r"])}) if "r" in row else arch
    kernels, widths = ([int(word) for word in row.get(name, "").split("-") if word] for name in ("ks", "w"))
    return ArchConfig.from_ofa(
        ks=kernels or None,
        e=[float(word) for word in row["e"].split("-")],
        d=[int(word) for word in row["d"].split("-")],
        w=widths or None,
        resolution=int(row["r"]),
    )
