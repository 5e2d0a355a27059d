"""The local transport: a worker in a fresh child process of this machine, pinned to its cores."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_hw.profiling.measurement import MeasurementPlan, cores_of, mask_of
from profilers.worker import machine_state
from profilers.worker_session import WorkerProcess, WorkerSession

WORKER = Path(__file__).with_name("worker.py")

_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def choose_mask(plan: MeasurementPlan) -> str:
    """Return the mask of the plan, or of the last cores this process may use, one for each thread.

    The last ones, since core 0 serves most interrupts.
    """
    if plan.cpu_mask is not None:
        return mask_of(cores_of(plan.cpu_mask))
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return mask_of(tuple(allowed[-plan.num_threads :]))


def local_state(plan_mask: str | None = None) -> Mapping[str, str]:
    """Return what this machine tells of itself."""
    return machine_state(list(cores_of(plan_mask)) if plan_mask else [])


def open_local(
    models: Iterable[bytes],
    *,
    names: Sequence[str],
    runtime: str,
    suffix: str,
    plan: MeasurementPlan,
    options: dict[str, Any],
    is_nhwc: bool,
    title: str,
) -> WorkerSession:
    """Return a session in a new process that has opened `models`, file contents in the order of `names`.

    The files lie in a temporary folder until the session is closed.
    """
    folder = Path(tempfile.mkdtemp(prefix="ofa-hw-"))
    try:
        paths = []
        for index, content in enumerate(models):
            paths.append(folder / f"{index}{suffix}")
            paths[-1].write_bytes(content)
        worker = WorkerProcess(
            [sys.executable, "-P", str(WORKER)],
            name=title,
            env={**os.environ, **dict.fromkeys(_THREAD_COUNTS, str(plan.num_threads))},
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    request = {
        "runtime": runtime,
        "models": [str(path) for path in paths],
        "cores": list(cores_of(choose_mask(plan))),
        "num_threads": plan.num_threads,
        "options": options,
    }
    return WorkerSession(
        worker, request, names=names, is_nhwc=is_nhwc, on_close=lambda: shutil.rmtree(folder, ignore_errors=True)
    )
