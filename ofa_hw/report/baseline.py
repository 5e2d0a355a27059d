"""An earlier benchmark.json, and how the run compares with it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_hw.errors import RunError
from ofa_hw.report.benchmark import SCHEMA, SCHEMA_VERSION
from ofa_hw.report.document import Column, Row, Section, Table
from ofa_hw.report.figures import Figure, figures_of
from ofa_hw.report.markdown import told_value
from ofa_hw.report.results import RunResults

SAME_CONDITIONS = ("device", "runtime", "dtype", "batch_size", "num_threads")
"""What must agree for latencies to be compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """The figures of an earlier run by name, and the file that they came from."""

    path: Path
    run: str
    figures: Mapping[str, Figure]


def read_baseline(path: Path, results: RunResults) -> Baseline:
    """Return the baseline at `path`, which must be of the space and, where both tell them, the conditions of `results`.

    Raises:
        RunError: the file is damaged, of another schema, or of something that cannot be compared; all that differs is
            named.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        schema = (told["schema"], told["schema_version"])
        figures = {row["name"]: Figure(**row) for row in told["figures"]} if schema == _SCHEMA else {}
        faults = _differences(told, results) if schema == _SCHEMA else [f"schema {schema[0]} {schema[1]}"]
        run = str(told["run"]) if not faults else ""
    except (UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: must be a benchmark.json of `ofa-hw report`; {error!r}") from error
    if faults:
        wanted = f"{SCHEMA} {SCHEMA_VERSION} of the same space and conditions"
        raise RunError(f"{path}: a baseline must be {wanted}; it differs in {', '.join(faults)}")
    return Baseline(path=path, run=run, figures=figures)


_SCHEMA = (SCHEMA, SCHEMA_VERSION)


def _differences(told: Mapping[str, Any], results: RunResults) -> list[str]:
    faults = []
    if told["space"] != results.space.name:
        faults.append(f"space ({told['space']}, not {results.space.name})")
    before, now = told["conditions"], results.lut
    if before is None or now is None:
        return faults
    for name in SAME_CONDITIONS:
        value = getattr(now.conditions, name)
        if before[name] != value:
            faults.append(f"{name} ({before[name]}, not {value})")
    return faults


def baseline_section(results: RunResults, baseline: Baseline) -> Section:
    """Return every figure of the run beside the baseline's; those that only one of them has are told as missing."""
    figures = figures_of(results)
    missing = [figure for name, figure in baseline.figures.items() if name not in {figure.name for figure in figures}]
    rows = [_row(figure, baseline.figures.get(figure.name)) for figure in figures]
    rows += [Row(cells=(figure.title, told_value(figure), "missing", "", "")) for figure in missing]
    titles = ("figure", "baseline", "now", "change", "")
    return Section(
        anchor="baseline",
        title="Against the baseline",
        about=(
            f"Figures of this run beside those of {baseline.path}. A change is told as it is: latencies of another day "
            "differ by the machine's mood, accuracies by the seed."
        ),
        tables=(
            Table(
                name="baseline",
                title=f"Run {baseline.run}, then and now",
                columns=tuple(Column(title=title, is_number=0 < index < 4) for index, title in enumerate(titles)),
                rows=tuple(rows),
            ),
        ),
    )


def _row(figure: Figure, before: Figure | None) -> Row:
    if before is None:
        return Row(cells=(figure.title, "missing", told_value(figure), "", ""))
    change = figure.value - before.value
    if figure.unit == "fraction":
        told = f"{100 * change:+.1f} points"
    else:
        told = f"{100 * change / before.value:+.1f} %" if before.value else f"{change:+.3g}"
    return Row(cells=(figure.title, told_value(before), told_value(figure), told, _verdict(figure, change)))


def _verdict(figure: Figure, change: float) -> str:
    if math.isclose(change, 0, abs_tol=1e-12):
        return "same"
    return "better" if (change < 0) == figure.smaller_is_better else "worse"
