"""What makes torch quick on a CPU and is not torch's own business."""

from __future__ import annotations

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_ONE_GIB = 1 << 30


def prepare_cpu(threads: int | None = None) -> int:
    """Set torch's threads (None: this process's share of the cores) and glibc's allocator; return the threads.

    By default glibc gives large blocks back to the system at each free and faults them in again at each step, which
    costs a supernet about a tenth of its speed.
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

    Whole networks side by side keep small cores busier than all cores on one layer, do not wait for each other at
    every layer where something else is running, and give the same figures whatever their number.
    """
    import torch

    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    # oneDNN's threads belong to a thread, MKL's to the process: they are set here once, not at the first task.
    threads = torch.get_num_threads()
    list(pool.map(abs, range(num_workers)))
    torch.set_num_threads(threads)
    return pool


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
