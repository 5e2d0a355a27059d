"""Settings outside torch that make it fast on a CPU: the allocator, and threads that compute side by side."""

from __future__ import annotations

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Names of options of glibc's mallopt, from malloc.h."""
_ONE_GIB = 1 << 30


def prepare_cpu(threads: int | None = None) -> int:
    """Set torch's threads (None: this process's share of the cores) and glibc's allocator; return the threads.

    By default glibc returns large blocks to the system when they are freed, and their pages are mapped anew at the next
    step, which costs a supernet about a tenth of its speed.
    """
    import torch

    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = threads or max(1, available_cores() // local_ranks)
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _ONE_GIB)
            libc.mallopt(_M_TRIM_THRESHOLD, _ONE_GIB)
    return threads


def one_core_pool(num_workers: int) -> ThreadPoolExecutor:
    """Return `num_workers` threads in which torch computes on one core each.

    Whole networks side by side use cores better than one layer split over all cores. They do not wait for each other at
    every layer, which is slow if something else is running, and the results do not depend on the number of workers.
    """
    import torch

    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    # set_num_threads is for the calling thread in oneDNN, but for the whole process in MKL. So workers are started now,
    # by tasks of no length, and the number is restored behind them.
    threads = torch.get_num_threads()
    list(pool.map(abs, range(num_workers)))
    torch.set_num_threads(threads)
    return pool


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
