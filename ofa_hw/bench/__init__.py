"""Benchmarks that a pipeline can trust: suites, benchmark.json, and what became slower with which certainty."""

from ofa_hw.bench.benchmark import Benchmark, read_benchmark, this_machine
from ofa_hw.bench.comparison import Change, Comparison, Verdict, compare
from ofa_hw.bench.metric import Metric, ProcessTimes
from ofa_hw.bench.model_file import TimedFile, time_file
from ofa_hw.bench.suite import Suite, read_suite
from ofa_hw.bench.suite_run import gate_plan, run_suite

__all__ = [
    "Benchmark",
    "Change",
    "Comparison",
    "Metric",
    "ProcessTimes",
    "Suite",
    "TimedFile",
    "Verdict",
    "compare",
    "gate_plan",
    "read_benchmark",
    "read_suite",
    "run_suite",
    "this_machine",
    "time_file",
]
