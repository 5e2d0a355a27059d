"""benchmark.json: the figures of a run for programs, in a schema of its own with a version."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from typing import Any

from ofa_hw import __version__
from ofa_hw.report.figures import figures_of
from ofa_hw.report.results import RunResults

SCHEMA = "ofa-hw-benchmark"
SCHEMA_VERSION = 1

_PACKAGES = ("torch", "numpy", "scikit-learn", "ai-edge-litert", "onnxruntime")


def benchmark_of(results: RunResults) -> dict[str, Any]:
    """Return the figures of the run with the versions and the machine of this report, as plain values."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "run": results.name,
        "space": results.space.name,
        "machine": {
            "system": platform.system(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "num_cores": os.cpu_count(),
        },
        "conditions": dataclasses.asdict(results.lut.conditions) if results.lut else None,
        "packages": {name: _version(name) for name in _PACKAGES},
        "figures": [dataclasses.asdict(figure) for figure in figures_of(results)],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
