"""The output of TFLite's `benchmark_model`, as numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Mapping

from ofa_hw.errors import DeviceError

_NUMBER = r"([0-9.eE+-]+)"
_FIELDS = {
    "init_us": rf"Init: {_NUMBER}",
    "first_us": rf"First inference: {_NUMBER}",
    "warmup_avg_us": rf"Warmup \(avg\): {_NUMBER}",
    "avg_us": rf"Inference \(avg\): {_NUMBER}",
    "memory_init_mb": rf"\binit={_NUMBER}",
    "memory_overall_mb": rf"\boverall={_NUMBER}",
}
_RUNS = re.compile(r"count=(\d+)\s[^\n]*")
_OF_RUNS = {"min_us": "min", "max_us": "max", "std_us": "std", "median_us": "median", "p5_us": "p5", "p95_us": "p95"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """One run of `benchmark_model`, times in microseconds, memory in MB; None where this version does not print it.

    `delegation` is `complete`, `partial` or `none`.
    """

    num_runs: int
    avg_us: float
    init_us: float | None = None
    first_us: float | None = None
    warmup_avg_us: float | None = None
    min_us: float | None = None
    max_us: float | None = None
    std_us: float | None = None
    median_us: float | None = None
    p5_us: float | None = None
    p95_us: float | None = None
    memory_init_mb: float | None = None
    memory_overall_mb: float | None = None
    delegation: str = "none"

    @property
    def typical_ms(self) -> float:
        """The median of its runs in milliseconds; the mean where there is no median."""
        return (self.avg_us if self.median_us is None else self.median_us) / 1e3


def parse_benchmark(text: str) -> BenchmarkReport:
    """Return the report in what `benchmark_model` printed.

    Raises:
        DeviceError: it holds no timings; the message repeats its last line.
    """
    values = _numbers(text, _FIELDS)
    # The first such line is about the warm-up, the last about the runs that count.
    runs = list(_RUNS.finditer(text))
    if "avg_us" not in values or not runs or not values["avg_us"] > 0:
        lines = text.strip().splitlines() or ["nothing"]
        raise DeviceError(f"benchmark_model must tell its timings; it ended with: {lines[-1][:200]}")
    values |= _numbers(runs[-1][0], {field: rf"\b{name}={_NUMBER}" for field, name in _OF_RUNS.items()})
    return BenchmarkReport(num_runs=int(runs[-1][1]), delegation=_delegation(text), **values)


def _numbers(text: str, patterns: Mapping[str, str]) -> dict[str, float]:
    """Return the number of each field in `text`, without those that are negative, infinite or malformed."""
    values = {}
    for field, pattern in patterns.items():
        found = re.search(pattern, text)
        with contextlib.suppress(ValueError):
            if found and 0 <= float(found[1]) < math.inf:
                values[field] = float(found[1])
    return values


def _delegation(text: str) -> str:
    if "completely executed by the delegate" in text:
        return "complete"
    return "partial" if "partially executed by the delegate" in text else "none"
