"""Measuring latencies: the vocabulary, the protocol of adapters, and the one loop that times them all."""

from ofa_hw.profiling.device import Device, parse_devices, plan_for, read_devices
from ofa_hw.profiling.engine import MeasuredRun, TimedRun, measure, measure_blocks, measure_networks
from ofa_hw.profiling.measurement import (
    Measurement,
    MeasurementPlan,
    ModelFile,
    NetworkMeasurement,
    RunConditions,
    Timing,
    Workload,
    is_mask,
)
from ofa_hw.profiling.protocol import Profiler, Session, Times

__all__ = [
    "Device",
    "MeasuredRun",
    "Measurement",
    "MeasurementPlan",
    "ModelFile",
    "NetworkMeasurement",
    "Profiler",
    "RunConditions",
    "Session",
    "TimedRun",
    "Times",
    "Timing",
    "Workload",
    "is_mask",
    "measure",
    "measure_blocks",
    "measure_networks",
    "parse_devices",
    "plan_for",
    "read_devices",
]
