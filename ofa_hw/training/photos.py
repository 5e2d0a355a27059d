"""Photos as batches: those of training come from worker processes, those that judge are decoded once."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ofa_hw.images import Augmentation, ImageSet, ImageSource, Shift
from ofa_hw.images.loading import Cuts, Loaded, Transform, Wanted, loading, require_few
from ofa_hw.images.pixel_map import PixelMap, map_pixels
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.training.batches import CPU, Draws, Feed, ImageBatches, batch_indices, finished

_DRAWN_SEED = 0xC07
DEFAULT_CACHE_BYTES = 2_000_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How images that are not in memory are read: by `num_workers` processes, `size` the largest that is wanted.

    What is decoded once is kept below `folder`, of each split the part `kept_part`.
    """

    in_channels: int
    size: int
    folder: Path
    kept_part: float = 1.0
    max_bad_images: int = 0
    num_workers: int = 0
    progress: ProgressCallback = no_progress


class DecodedBatches:
    """A split of photos as float batches, decoded when it is first asked for and kept as far as there is room."""

    def __init__(
        self,
        source: ImageSource,
        name: str,
        reading: Reading,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device = CPU,
    ) -> None:
        """Keep what is decoded under `name`."""
        self.source, self.name, self.reading = source, name, reading
        self.mean, self.std, self.device = mean, std, device
        self._lock = threading.Lock()

    @property
    def labels(self) -> Tensor:
        """The classes of the images that are whole, (n,)."""
        return self._map_and_labels[1]

    def __len__(self) -> int:
        """Return the number of images that are whole."""
        return len(self.labels)

    @property
    def _map_and_labels(self) -> tuple[PixelMap, Tensor]:
        with self._lock:  # threads that judge ask for it at once
            return self._decoded

    @functools.cached_property
    def _decoded(self) -> tuple[PixelMap, Tensor]:
        reading = self.reading
        pixel_map = map_pixels(
            self.source,
            reading.folder / f"{self.name}.pixels",
            in_channels=reading.in_channels,
            size=reading.size,
            num_kept=int(len(self.source) * reading.kept_part),
            max_bad_images=reading.max_bad_images,
            num_workers=reading.num_workers,
            progress=reading.progress,
        )
        return pixel_map, torch.from_numpy(pixel_map.labels).to(self.device)

    def draw(self, num: int) -> DecodedBatches:
        """Return `num` images in random order, or all where there are fewer; the same ones at every call."""
        return _Drawn(self, num)

    def all_at(self, resolution: int, batch_size: int) -> Iterator[Tensor]:
        """Yield all images in their order, (n, channels, resolution, resolution); nothing but the batch is held."""
        pixel_map, _ = self._map_and_labels
        for pixels in pixel_map.batches(batch_size):
            yield finished(pixels.to(self.device).float(), resolution, self.mean, self.std)


class _Drawn(DecodedBatches):
    """Some of the images of a split, from where these are kept."""

    def __init__(self, whole: DecodedBatches, num: int) -> None:
        super().__init__(whole.source, whole.name, whole.reading, mean=whole.mean, std=whole.std, device=whole.device)
        self._whole, self._num = whole, num

    @functools.cached_property
    def _decoded(self) -> tuple[PixelMap, Tensor]:
        pixel_map, labels = self._whole._map_and_labels
        chosen = np.random.default_rng(0).permutation(len(labels))[: self._num]
        return dataclasses.replace(pixel_map, good=pixel_map.good[chosen]), labels[torch.from_numpy(chosen)]


class PhotoBatches:
    """Training photos, read where they are: a batch is a function of seed and step, whatever the number of workers."""

    def __init__(
        self,
        source: ImageSource,
        reading: Reading,
        augmentation: Augmentation | None,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device = CPU,
    ) -> None:
        """Change photos by `augmentation` (None: a shift by a pixel)."""
        self.source, self.reading, self.augmentation = source, reading, augmentation
        self.mean, self.std, self.device = mean, std, device
        self._damaged: dict[int, str] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    @functools.cached_property
    def labels(self) -> Tensor:
        """The class of each image, (n,)."""
        return torch.from_numpy(self.source.labels).to(self.device)

    def draw(self, num: int) -> ImageBatches | DecodedBatches:
        """Return `num` images in random order, not augmented, or all where there are fewer; the same at every call."""
        if isinstance(self.source, ImageSet):
            return ImageBatches(self.source, mean=self.mean, std=self.std, device=self.device).draw(num)
        drawn = self.source.take(np.random.default_rng(0).permutation(len(self))[:num])
        name = f"train-{num}"
        return DecodedBatches(drawn, name, self.reading, mean=self.mean, std=self.std, device=self.device)

    @contextmanager
    def feed(self, draws: Draws) -> Iterator[PhotoFeed]:
        """Yield what gives the batches of `draws`, step by step in their order; its workers end with the context."""
        transform: Transform = self.augmentation or Shift(max_shift=draws.max_shift, flip=draws.flip)
        cuts = Cuts(self.source, self.reading.in_channels, transform, replaces=True)
        wanted = (self._wanted(draws, step) for step in draws.steps)
        # Threads that fine-tune side by side have a worker each.
        is_main = threading.current_thread() is threading.main_thread()
        num_workers = self.reading.num_workers if is_main else min(1, self.reading.num_workers)
        pin_memory = self.device.type == "cuda"
        with loading(cuts, wanted, num_workers=num_workers, pin_memory=pin_memory) as batches:
            yield PhotoFeed(self, batches)

    def _wanted(self, draws: Draws, step: int) -> Wanted:
        indices = batch_indices(len(self), draws.batch_size, step, draws.seed)[draws.part]
        return Wanted(
            tuple(indices.tolist()), draws.size_at(step), (*draws.seed, _DRAWN_SEED, step), draws.part.start or 0
        )

    def note_damaged(self, loaded: Loaded) -> None:
        """Count the damaged images that were met; DataError where they are too many."""
        require_few(loaded.damaged, self._damaged, self.reading.max_bad_images)


class PhotoFeed(Feed):
    """The batches of a stretch of training; `waited_seconds` is how long they were waited for."""

    def __init__(self, images: PhotoBatches, batches: Iterator[Loaded]) -> None:
        """Give what comes of `batches`."""
        self._images, self._batches = images, batches
        self._stream = torch.cuda.Stream(images.device) if images.device.type == "cuda" else None
        self._ahead: tuple[Loaded, Tensor] | None = None
        self.waited_seconds = 0.0

    def at(self, step: int, resolutions: Iterable[int], rng: np.random.Generator) -> tuple[dict[int, Tensor], Tensor]:
        """Return the images of the next step by resolution, all scaled from one cut, and their labels."""
        loaded, pixels = self._next()
        images = self._images
        x_BCHW = pixels.float()
        by_resolution = {
            resolution: finished(x_BCHW, resolution, images.mean, images.std) for resolution in sorted(set(resolutions))
        }
        return by_resolution, images.labels[torch.tensor(loaded.indices, device=images.labels.device)]

    def prefetch(self) -> None:
        """Begin to copy the next batch to a GPU while it computes; a CPU has it in its memory already."""
        if self._stream is not None and self._ahead is None:
            loaded = self._loaded()
            if loaded is not None:
                with torch.cuda.stream(self._stream):
                    self._ahead = loaded, loaded.pixels.to(self._images.device, non_blocking=True)

    def _next(self) -> tuple[Loaded, Tensor]:
        if self._stream is not None and self._ahead is not None:
            (loaded, pixels), self._ahead = self._ahead, None
            torch.cuda.current_stream().wait_stream(self._stream)
            pixels.record_stream(torch.cuda.current_stream())
            return loaded, pixels
        found = self._loaded()
        assert found is not None, "a step is asked for that was not announced"
        return found, found.pixels.to(self._images.device, non_blocking=True)

    def _loaded(self) -> Loaded | None:
        began = time.perf_counter()
        loaded = next(self._batches, None)
        self.waited_seconds += time.perf_counter() - began
        if loaded is not None:
            self._images.note_damaged(loaded)
        return loaded
