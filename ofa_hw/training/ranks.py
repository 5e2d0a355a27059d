"""The processes that work together: which of them this is, its part of the work, and how results are exchanged.

`torchrun` or SLURM starts them and sets the environment variables. A single process is rank 0 of 1, by the same code.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from ofa_hw.errors import RunError
from ofa_hw.training.batches import CPU
from ofa_hw.training.cpu import available_cores

_PATIENCE = dt.timedelta(minutes=30)
"""How long a process waits for others that are slow; one that has ended is noticed at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranks:
    """The process `rank` of `size`, counted from 0, which computes on `device`."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes files and reports to the user."""
        return self.rank == 0

    def part_of(self, num: int) -> slice:
        """Return this process's part of `num` things.

        Raises:
            RunError: `num` cannot be divided among the processes.
        """
        if num % self.size:
            raise RunError(
                f"a batch of {num} images must be divided by the number of processes, which is {self.size}; "
                "choose another --batch-size or --nproc-per-node"
            )
        each = num // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def new_group(self) -> dist.ProcessGroup | None:
        """Return a group of all processes for one thread of each; None where this process is alone."""
        return None if self.size == 1 else dist.new_group()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace `tensors`, of one dtype, by their means over the processes, in one exchange."""
        if self.size > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            dist.all_reduce(flat)
            flat /= self.size
            for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(mean.view_as(tensor))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the `tensor` of each process, all of one shape."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor)
        return parts

    def wait(self) -> None:
        """Return when all processes have called this."""
        self.gather(torch.zeros(1, device=self.device))


ALONE = Ranks()


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Yield the ranks that the environment describes (`RANK`, `WORLD_SIZE` and so on), connected with each other.

    On GPUs the processes communicate by NCCL, else by Gloo.

    Raises:
        RunError: there are more processes here than cores or GPUs, or another process has ended before its time.
    """
    size, local_size = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    has_gpu = torch.cuda.is_available()
    num_places, what = (torch.cuda.device_count(), "GPUs") if has_gpu else (available_cores(), "cores")
    if local_size > num_places:
        raise RunError(
            f"processes on a machine must be no more than its {what}, {num_places}; came {local_size}; "
            f"start fewer by --nproc-per-node {num_places}"
        )
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if has_gpu else CPU
    if has_gpu:
        torch.cuda.set_device(device)
    if size == 1:
        yield Ranks(device=device)
        return
    try:
        dist.init_process_group("nccl" if has_gpu else "gloo", timeout=_PATIENCE)
        yield Ranks(rank=dist.get_rank(), size=size, device=device)
        dist.barrier()
        dist.destroy_process_group()
    except RuntimeError as error:
        if not _is_of_the_connection(error):
            raise
        raise RunError(
            f"all {size} processes must stay to the end; one has ended or is unreachable "
            f"({str(error).splitlines()[0][:200]}); start all of them again with --resume"
        ) from error


def _is_of_the_connection(error: RuntimeError) -> bool:
    # Gloo raises plain RuntimeErrors.
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
