"""Tables that were never measured, for tests of what is done with tables."""

from ofa_hw.blocks import block_macs, block_params, unique_block_specs
from ofa_hw.lut import LatencyTable
from ofa_hw.profiling import Measurement, NetworkMeasurement, RunConditions, Workload
from ofa_hw.space import get_space

CONDITIONS = RunConditions(
    device="example",
    runtime="tflite",
    runtime_version="2.3.0",
    dtype="float32",
    batch_size=1,
    num_threads=1,
    cpu_mask="0x2",
    governor="performance",
    clocks="2600 MHz",
)
SPACE = get_space("fashion")
SPECS = unique_block_specs(SPACE)


def block_ms(spec):
    return 0.002 + block_macs(spec) / 7e6


def _row(ms):
    return {
        "conditions": CONDITIONS,
        "median_ms": ms,
        "mad_ms": ms / 100,
        "p10_ms": ms * 0.99,
        "p90_ms": ms * 1.02,
        "ci_low_ms": ms * 0.995,
        "ci_high_ms": ms * 1.005,
        "num_runs": 40,
        "process_spread": 0.004,
        "method": "invented; for tests",
        "marks": "",
        "measured_at": "2026-01-31T12:00:00+00:00",
    }


def measurement(spec=SPECS[0], ms=None):
    return Measurement(block=spec, **_row(block_ms(spec) if ms is None else ms))


def network(arch, *, intercept_ms=0.01, scale=1.1, ms_per_mparam=0.5, ms_per_large_kernel=0.0, factor=1.0):
    """A network whose latency follows the law of the calibration, times `factor`."""
    workload = Workload.of_network(SPACE, arch)
    total = sum(block_ms(spec) for spec in workload.specs)
    mparams = sum(block_params(spec) for spec in workload.specs) / 1e6
    num_large = sum(spec.kernel_size == 7 for spec in workload.specs)
    ms = (intercept_ms + scale * total + ms_per_mparam * mparams + ms_per_large_kernel * num_large) * factor
    return NetworkMeasurement(name=workload.name, specs=workload.specs, **_row(ms))


def table(specs=SPECS, **changes):
    fields = {"space": "fashion", "measurements": tuple(measurement(spec) for spec in specs), "notes": {"host": "none"}}
    return LatencyTable(**{**fields, **changes})
