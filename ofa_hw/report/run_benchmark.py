"""benchmark.json of a run: its figures for programs."""

from __future__ import annotations

from typing import Any

from ofa_hw.bench import Benchmark, this_machine
from ofa_hw.report.figures import figures_of
from ofa_hw.report.results import RunResults


def benchmark_of(results: RunResults) -> dict[str, Any]:
    """Return the figures of the run with the versions and the machine of this report, as plain values."""
    return as_benchmark(results).to_json()


def as_benchmark(results: RunResults) -> Benchmark:
    """Return the figures of the run; `ofa-hw bench` compares and writes the same kind."""
    return Benchmark(
        name=results.name,
        figures=tuple(figures_of(results)),
        space=results.space.name,
        conditions=(results.lut.conditions,) if results.lut else (),
        **this_machine(),
    )
