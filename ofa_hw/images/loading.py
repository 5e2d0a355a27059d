"""Images cut and stacked by torch's DataLoader, in worker processes; what comes is a function of what was asked for."""

from __future__ import annotations

import dataclasses
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ofa_hw.errors import DataError
from ofa_hw.images.datasets import bad_image
from ofa_hw.images.decode import Picture, open_picture
from ofa_hw.images.source import ImageSource, Pixels

PREFETCHED = 4
"""Batches that each worker has ready."""


class Transform(Protocol):
    """What makes of a picture the square that a network sees."""

    def apply(self, picture: Picture, size: int, rng: np.random.Generator) -> Pixels:
        """Return uint8 (channels, size, size)."""


class Centre:
    """The middle of a picture, as networks are judged: the shorter side is `size` / 0.875, of which `size` is seen."""

    def apply(self, picture: Picture, size: int, rng: np.random.Generator) -> Pixels:
        """Return uint8 (channels, size, size)."""
        return picture.cut(picture.centre, size)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A batch that is asked for: images at `indices`, cut at `size`; the one at place p is changed by `seeds` and p.

    The first of them is at `first_place`: of a batch that several processes share, each asks for its part.
    """

    indices: tuple[int, ...]
    size: int
    seeds: tuple[int, ...] = ()
    first_place: int = 0


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What came: `pixels` uint8 (n, channels, size, size), of the images at `indices`, and which ones are damaged.

    In the place of a damaged one stands another, drawn from the same seed, or zeros where none was wanted.
    """

    pixels: Tensor
    indices: tuple[int, ...]
    damaged: tuple[tuple[int, str], ...]

    def pin_memory(self) -> Loaded:
        """Return the same in memory from which a GPU copies by itself; torch calls this."""
        return dataclasses.replace(self, pixels=self.pixels.pin_memory())


class Cuts(Dataset[Any]):
    """What a worker does: read, decode, cut, change, stack."""

    def __init__(self, source: ImageSource, in_channels: int, transform: Transform, *, replaces: bool) -> None:
        """Put another image in the place of a damaged one, where it `replaces`."""
        self.source, self.in_channels, self.transform, self.replaces = source, in_channels, transform, replaces

    def __getitem__(self, wanted: Wanted) -> Loaded:
        """Return the batch that is `wanted`."""
        shape = (len(wanted.indices), self.in_channels, wanted.size, wanted.size)
        # In the order in which decoders give pixels and convolutions want them: nothing is turned around on the way.
        pixels = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        into, indices, damaged = pixels.numpy(), list(wanted.indices), list[tuple[int, str]]()
        for row in range(len(indices)):
            rng = np.random.default_rng([*wanted.seeds, wanted.first_place + row])
            for _ in range(100):
                try:
                    picture = open_picture(self.source.read(indices[row]), self.in_channels)
                    into[row] = self.transform.apply(picture, wanted.size, rng)
                    break
                except (DataError, OSError) as error:
                    damaged.append((indices[row], str(bad_image(self.source, indices[row], error))))
                    if not self.replaces:
                        into[row] = 0
                        break
                    indices[row] = int(rng.integers(len(self.source)))
        return Loaded(pixels, tuple(indices), tuple(damaged))


@contextmanager
def loading(
    cuts: Cuts, wanted: Iterable[Wanted], *, num_workers: int, pin_memory: bool = False
) -> Iterator[Iterator[Loaded]]:
    """Yield an iterator over the batches that are `wanted`, in their order; the workers end with the context."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # the user may want more than cores
        loader = DataLoader(
            cuts,
            batch_size=None,
            sampler=_Once(wanted),
            num_workers=num_workers,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            prefetch_factor=PREFETCHED if num_workers else None,
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),  # torch's own would be drawn from
        )
        batches = iter(loader)
    try:
        yield batches
    finally:
        # The workers end when the iterator does, which an exception that is told would keep alive.
        shut_down = getattr(batches, "_shutdown_workers", None)
        if shut_down is not None:
            shut_down()


def require_few(damaged: Sequence[tuple[int, str]], seen: dict[int, str], max_bad_images: int) -> None:
    """Note `damaged` in `seen`; DataError names the first that is beyond `max_bad_images`."""
    for index, message in damaged:
        seen.setdefault(index, message)
        if len(seen) > max_bad_images:
            raise DataError(message)


class _Once:
    """A sampler that asks for what it is given."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self.wanted = wanted

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self.wanted)


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _begin_worker(_: int) -> None:
    # An interrupt is for the process that trains: it keeps the step at hand, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
