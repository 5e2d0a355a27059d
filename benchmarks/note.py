"""A dated note of a benchmark: hardware, versions, load, the command, and the table that was printed."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ofa_hw.cli.console import print_table, remark
from ofa_hw.files import write_text

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "ai-edge-litert", "onnxruntime", "pymoo", "ofa")


def write_note(name: str, about: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Print the table and write it as `results/<date>-<name>.md`; return its path."""
    print_table(columns, rows)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    date = dt.datetime.now(dt.UTC)
    # Of a path outside the project its name is enough: whoever repeats this has other folders.
    arguments = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *arguments])
    text = "\n".join(
        [
            f"# {name}, {date:%Y-%m-%d}",
            "",
            about.partition("\n\n    ")[0].strip(),
            "",
            *lines,
            "",
            f"- command: `{command}`",
            f"- machine: {_cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}",
            f"- versions: Python {platform.python_version()}, " + ", ".join(_versions()),
            f"- time: {date:%H:%M} UTC",
            "",
        ]
    )
    path = RESULTS / f"{date:%Y-%m-%d}-{name}.md"
    write_text(path, text)
    remark(f"written to {path}")
    return path


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
