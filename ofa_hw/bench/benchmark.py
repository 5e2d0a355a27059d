"""benchmark.json: figures for other programs, with the conditions they depend on, in a schema with a version."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_hw import __version__
from ofa_hw.bench.metric import Metric, ProcessTimes
from ofa_hw.errors import RunError
from ofa_hw.files import read_json
from ofa_hw.profiling import RunConditions

SCHEMA = "ofa-hw-benchmark"
SCHEMA_VERSION = 2

SAME_CONDITIONS = ("device", "runtime", "dtype", "batch_size", "num_threads")
"""What must agree for latencies to be compared. A runtime's version may differ: its effect is what one looks for."""

_PACKAGES = ("torch", "numpy", "scikit-learn", "ai-edge-litert", "onnxruntime")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The figures of a run or a suite, `name`; `space` is None where they are of no single one.

    `conditions` has an entry for each runtime that timed something; `references` has, by runtime, the digest of the
    reference model timed beside the others. `machine`, `packages` and `notes` are facts for people.
    """

    name: str
    figures: tuple[Metric, ...]
    space: str | None = None
    conditions: tuple[RunConditions, ...] = ()
    references: Mapping[str, str] = dataclasses.field(default_factory=dict)
    machine: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    packages: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    made_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `read_benchmark` reads them back."""
        head = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "tool_version": __version__}
        return (
            head
            | dataclasses.asdict(self)
            | {
                "figures": [dataclasses.asdict(figure) for figure in self.figures],
                "conditions": [dataclasses.asdict(conditions) for conditions in self.conditions],
            }
        )


def this_machine() -> dict[str, Any]:
    """Return the fields of a `Benchmark` that say where and when it is made, by name."""
    return {
        "machine": {
            "system": platform.system(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "num_cores": os.cpu_count(),
        },
        "packages": {name: _version(name) for name in _PACKAGES},
        "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def read_benchmark(path: str | Path) -> Benchmark:
    """Return the benchmark.json at `path`.

    Raises:
        RunError: the file is damaged, of another schema, or holds a number that is not finite.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        document = read_json(path)
        schema = (document.pop("schema"), document.pop("schema_version"))
        if schema == (SCHEMA, SCHEMA_VERSION):
            return _parsed(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: must be a benchmark.json of `ofa-hw bench` or `report`; {error}") from error
    raise RunError(
        f"{path}: must be of schema {SCHEMA} {SCHEMA_VERSION}; it is of {schema[0]} {schema[1]}: make it anew"
    )


def differences(before: Benchmark, now: Benchmark) -> list[str]:
    """Return the differences that forbid comparing two benchmarks, [] where there are none.

    Conditions of a runtime that only one of them has are not compared, unless each has exactly one.
    """
    faults = []
    if before.space != now.space:
        faults.append(f"space ({before.space}, not {now.space})")
    # Of two single runtimes a change of the runtime itself shall be found, too.
    if len(before.conditions) == len(now.conditions) == 1:
        pairs = [(before.conditions[0], now.conditions[0])]
    else:
        known = {conditions.runtime: conditions for conditions in before.conditions}
        pairs = [
            (known[conditions.runtime], conditions) for conditions in now.conditions if conditions.runtime in known
        ]
    for earlier, later in pairs:
        for name in SAME_CONDITIONS:
            if getattr(earlier, name) != getattr(later, name):
                faults.append(f"{name} ({getattr(earlier, name)}, not {getattr(later, name)})")
    for runtime, digest in now.references.items():
        if before.references.get(runtime, digest) != digest:
            faults.append(f"reference model of {runtime} ({before.references[runtime]}, not {digest})")
    return faults


def require_comparable(before: Benchmark, now: Benchmark, *, path: str | Path) -> None:
    """Check that `before`, which was read from `path`, can be compared with `now`.

    Raises:
        RunError: naming all that differs.
    """
    faults = differences(before, now)
    if faults:
        raise RunError(
            f"{path}: a baseline must be of the same space, device and conditions; it differs in {', '.join(faults)}"
        )


def _parsed(document: dict[str, Any]) -> Benchmark:
    # For people; the schema's version says whether the file can be read.
    document.pop("tool_version")
    kinds = {"name": str} | dict.fromkeys(("references", "machine", "packages", "notes"), dict)
    for name, kind in kinds.items():
        if not isinstance(document.get(name, kind()), kind):
            raise TypeError(f"{name} must be {'a text' if kind is str else 'an object'}; came {document[name]!r}")
    return Benchmark(
        **{
            **document,
            "figures": tuple(_figure(row) for row in document["figures"]),
            "conditions": tuple(RunConditions(**row) for row in document["conditions"]),
        }
    )


def _figure(row: dict[str, Any]) -> Metric:
    times = row["times"]
    if times is not None:
        times = ProcessTimes(**{name: tuple(values) for name, values in times.items()})
    return Metric(**{**row, "times": times})


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
