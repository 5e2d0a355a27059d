"""Batches of images as the network wants them: drawn, augmented, scaled, normalised, each a function of the step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ofa_hw.images import ImageSet

CPU = torch.device("cpu")
_MAX_KEPT_BYTES = 1 << 28
"""How much of what was scaled is kept; photos at many resolutions are gigabytes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draws:
    """What a stretch of training wants to see: batches of `batch_size` at each of `steps`, a function of `seed`.

    Of each batch only `part` is made. `size_at` tells the largest resolution that a step wants. Small images are
    mirrored where `flip` says so and shifted by up to `max_shift` pixels.
    """

    steps: range
    batch_size: int
    seed: tuple[int, ...]
    size_at: Callable[[int], int]
    part: slice = dataclasses.field(default_factory=lambda: slice(None))
    max_shift: int = 1
    flip: bool = True


class Feed(Protocol):
    """The batches of some `Draws`, asked for step by step."""

    def at(self, step: int, resolutions: Iterable[int], rng: np.random.Generator) -> tuple[dict[int, Tensor], Tensor]:
        """Return the images of `step` by each of `resolutions`, and their labels; `rng` is the step's own."""

    def prefetch(self) -> None:
        """Begin with the next batch while this one is computed with, where that gains anything."""


class JudgingImages(Protocol):
    """A split that networks are judged by."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def labels(self) -> Tensor:
        """The classes of the images, (n,)."""

    def __len__(self) -> int:
        """Return the number of images."""

    def all_at(self, resolution: int, batch_size: int) -> Iterator[Tensor]:
        """Yield all images in their order, (n, channels, resolution, resolution), without augmentation."""

    def draw(self, num: int) -> JudgingImages:
        """Return `num` images in random order, or all where there are fewer; the same ones at every call."""


class TrainingImages(Protocol):
    """A split that networks are trained on."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        """Return the number of images."""

    def feed(self, draws: Draws) -> AbstractContextManager[Feed]:
        """Return what gives the batches of `draws`, in their order."""

    def draw(self, num: int) -> JudgingImages:
        """Return `num` images in random order, or all where there are fewer; the same ones at every call."""


class ImageBatches:
    """Images of one split as float batches, normalised by `mean` and `std` of each channel (scale 0 to 1).

    Whatever is random is drawn from the step's own generator, so that a resumed run sees what an unbroken one sees.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device = CPU,
    ) -> None:
        """Keep the pixels of `images` as they are; batches are made, on `device`, when they are asked for."""
        self.images = images
        self.mean, self.std, self.device = mean, std, device
        self.labels = torch.from_numpy(images.labels).to(device)
        self._pixels = torch.from_numpy(images.pixels)
        self._scaled: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def draw(self, num: int) -> ImageBatches:
        """Return `num` images in random order, or all where there are fewer; the same ones at every call.

        A folder is read class by class: its first images, and batches of neighbours, would be of one class.
        """
        images = self.images.take(np.random.default_rng(0).permutation(len(self))[:num])
        return ImageBatches(images, mean=self.mean, std=self.std, device=self.device)

    def all_at(self, resolution: int, batch_size: int) -> Iterator[Tensor]:
        """Yield all images in their order, (n, channels, resolution, resolution), without augmentation.

        What was scaled once is kept while there is little of it, as judging comes back to the same few resolutions.
        """
        num_bytes = 4 * self._pixels[:, :, 0, 0].numel() * resolution**2
        kept_bytes = sum(4 * scaled.numel() for scaled in list(self._scaled.values()))
        if resolution not in self._scaled and kept_bytes + num_bytes > _MAX_KEPT_BYTES:
            for part in self._pixels.split(batch_size):
                yield self._finish(part.to(self.device).float(), resolution)
            return
        if resolution not in self._scaled:
            parts = (self._finish(part.to(self.device).float(), resolution) for part in self._pixels.split(1000))
            self._scaled[resolution] = torch.cat(list(parts)).contiguous(memory_format=torch.channels_last)
        yield from self._scaled[resolution].split(batch_size)

    def augmented(
        self,
        indices: Tensor,
        resolutions: Iterable[int],
        rng: np.random.Generator,
        *,
        max_shift: int,
        flip: bool,
        part: slice = slice(None),
    ) -> dict[int, Tensor]:
        """Return the images at `indices`, each mirrored by a coin and shifted by up to `max_shift` pixels.

        They come as (n, channels, resolution, resolution) by each of `resolutions`. Of them only `part` is made, as it
        would be among all.
        """
        num = len(indices)
        mirrored = rng.random(num) < 0.5 if flip else np.zeros(num, bool)
        offsets = rng.integers(0, 2 * max_shift + 1, size=(num, 2)) if max_shift else np.zeros((num, 2), np.int64)
        x_BCHW = self._pixels[indices[part]].to(self.device).float()
        is_mirrored = torch.from_numpy(mirrored[part]).to(self.device)
        x_BCHW[is_mirrored] = x_BCHW[is_mirrored].flip(3)
        if max_shift:
            x_BCHW = _shifted(x_BCHW, torch.from_numpy(offsets[part]).to(self.device), max_shift)
        return {resolution: self._finish(x_BCHW, resolution) for resolution in sorted(set(resolutions))}

    def feed(self, draws: Draws) -> AbstractContextManager[Feed]:
        """Return what gives the batches of `draws`, mirrored and shifted."""
        return nullcontext(_MemoryFeed(self, draws))

    def _finish(self, x_BCHW: Tensor, resolution: int) -> Tensor:
        return finished(x_BCHW, resolution, self.mean, self.std)


class _MemoryFeed(Feed):
    def __init__(self, images: ImageBatches, draws: Draws) -> None:
        self._images, self._draws = images, draws

    def at(self, step: int, resolutions: Iterable[int], rng: np.random.Generator) -> tuple[dict[int, Tensor], Tensor]:
        images, draws = self._images, self._draws
        indices = batch_indices(len(images), draws.batch_size, step, draws.seed)
        drawn = images.augmented(indices, resolutions, rng, max_shift=draws.max_shift, flip=draws.flip, part=draws.part)
        return drawn, images.labels[indices[draws.part]]

    def prefetch(self) -> None:
        pass


def finished(x_BCHW: Tensor, resolution: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return images of 0 to 255 scaled to `resolution` and normalised by `mean` and `std` of each channel."""
    if x_BCHW.shape[-1] != resolution:
        x_BCHW = F.interpolate(x_BCHW, (resolution, resolution), mode="bilinear", antialias=True)
    shift, scale = (torch.tensor(values, device=x_BCHW.device).reshape(1, -1, 1, 1) * 255 for values in (mean, std))
    return ((x_BCHW - shift) / scale).contiguous(memory_format=torch.channels_last)


def _shifted(x_BCHW: Tensor, offsets_B2: Tensor, max_shift: int) -> Tensor:
    """Return images that begin at `offsets_B2` of the padded ones, 0 to twice `max_shift` down and to the right."""
    num, _, height, width = x_BCHW.shape
    padded = F.pad(x_BCHW, (max_shift,) * 4, mode="replicate")
    image, down, right = (torch.arange(size, device=x_BCHW.device) for size in (num, height, width))
    rows, columns = offsets_B2[:, :1] + down, offsets_B2[:, 1:] + right
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def batch_indices(num_images: int, batch_size: int, step: int, seed: tuple[int, ...]) -> Tensor:
    """Return which images the batch of a step holds, a function of `step` and `seed` alone.

    Every epoch sees the images in another order; what does not fill a batch is left out. Where there are fewer images
    than `batch_size`, a batch is all of them.
    """
    batch_size = min(batch_size, num_images)
    epoch, place = divmod(step, num_images // batch_size)
    order = _order(num_images, (*seed, epoch))
    return torch.from_numpy(order[place * batch_size : (place + 1) * batch_size])


@functools.lru_cache(maxsize=4)  # that of a million images takes longer than the rest of a step's work here
def _order(num_images: int, seed: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(num_images)
