"""Benchmarks whose figures are known, made without a clock."""

import numpy as np

from ofa_hw.bench import Benchmark, Metric, ProcessTimes
from ofa_hw.profiling import RunConditions

CONDITIONS = RunConditions(
    device="host",
    runtime="tflite",
    runtime_version="2.3.0",
    dtype="float32",
    batch_size=1,
    num_threads=1,
    cpu_mask="0x2",
    governor="unknown",
    clocks="2000 MHz",
)


def figure(name="model", *, ratio=2.0, reference_ms=0.5, spread=0.004, num_processes=8, seed=0, title=None):
    """A timed figure: what processes found lies about `ratio` with this relative spread."""
    rng = np.random.default_rng(seed)
    ratios = ratio * np.exp(spread * rng.standard_normal(num_processes))
    ms = ratios * reference_ms
    return Metric(
        name=name,
        title=title or name,
        value=float(ms.mean()),
        unit="ms",
        smaller_is_better=True,
        num=12 * num_processes,
        runtime="tflite",
        times=ProcessTimes(ms=tuple(ms.tolist()), ratios=tuple(ratios.tolist())),
    )


def benchmark(*figures, **changes):
    fields = {
        "name": "suite",
        "figures": figures or (figure(),),
        "conditions": (CONDITIONS,),
        "references": {"tflite": "0123"},
        "notes": {"host": "x86_64 fake"},
        "made_at": "2026-11-24T12:00:00+00:00",
    }
    return Benchmark(**(fields | changes))
