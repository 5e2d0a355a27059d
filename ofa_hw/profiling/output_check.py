"""Whether a device computes what torch computes; if not, its latency would be that of another block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError
from ofa_hw.profiling.measurement import MeasurementPlan, Workload, random_input
from ofa_hw.profiling.protocol import Session

_TOLERANCES = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 2e-1, "int8": 0.3}
"""The largest allowed difference from torch, in standard deviations of the output; for int8 the root mean square."""


def check_outputs(session: Session, workloads: Sequence[Workload], plan: MeasurementPlan, *, device: str) -> None:
    """Check that every chain of blocks computes on the device what torch computes; model files have no reference.

    Raises:
        DeviceError: naming the first workload that does not, with the largest difference.
    """
    chains = [(index, workload) for index, workload in enumerate(workloads) if workload.specs]
    if not chains:
        return

    from ofa_hw.nn.folded_reference import run_blocks

    with torch_on_one_thread():
        for index, workload in chains:
            x = random_input(workload.specs[0], batch_size=plan.batch_size)
            came = session.run(index, x)
            if came is not None:
                _check(came, run_blocks(workload.folded(), x), workload.name, plan.dtype, device)


@contextlib.contextmanager
def torch_on_one_thread() -> Iterator[None]:
    """Let torch compute on one thread inside this context.

    Blocks are small: several threads gain nothing, and on a busy machine they wait for one another at every layer. A
    check of 159 blocks took 11.5 s with two threads beside two busy processes, and 0.8 s with one.
    """
    import torch

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _check(
    came: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], name: str, dtype: str, device: str
) -> None:
    if came.shape != expected.shape:
        raise DeviceError(f"{device}: the output of {name} must be of shape {expected.shape}; came {came.shape}")
    differences = np.abs(came - expected) / max(float(expected.std()), 1e-6)
    difference = float(np.sqrt((differences**2).mean()) if dtype == "int8" else differences.max())
    # Written so that NaN fails too.
    if not difference <= _TOLERANCES[dtype]:
        raise DeviceError(
            f"{device}: the output of {name} must equal torch's within {_TOLERANCES[dtype]:g} of its spread; "
            f"it is {difference:.3g} away, so its latency would be of another block"
        )
