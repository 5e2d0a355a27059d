"""Photos of their own size as crops of 224 px: against simplejpeg's decoding alone, and the usual PIL pipeline.

PHOTOS is a tar or a folder of JPEGs, a folder for each class. Crops are told in images for each second of a core, uint8
as a worker makes them, in one process, in alternating rounds, medians; through DataLoaders with workers in images a
second, each side's batches normalised floats in the process that trains. Waiting is the share of training's time, the
largest subnet of ofa-mobilenetv3-w1.0 at 128 px, batch 32, in which there is no batch yet. Memory and scanning are of
hard links to the photos, 2,000 and 200,000 of them in 100 classes, each in a process of its own.

    python -m benchmarks.images PHOTOS.tar
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.note import write_note
from ofa_hw.cli.console import remark
from ofa_hw.images import PHOTO_AUGMENTATIONS, Augmentation
from ofa_hw.images.folders import FolderSource, scan_folder
from ofa_hw.images.loading import Cuts, Wanted
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.space import get_space
from ofa_hw.training.batches import Draws
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.cpu import prepare_cpu
from ofa_hw.training.learner import Batch, Learner
from ofa_hw.training.photos import PhotoBatches, Reading
from ofa_hw.training.ranks import ALONE
from ofa_hw.training.schedule import Phase

SIZE, BATCH_SIZE, WAITING_RESOLUTION = 224, 32, 128
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COLUMNS = ("figure", "ours", "other", "ratio")
CROP = PHOTO_AUGMENTATIONS["crop"]


@click.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=7, show_default=True, help="Repetitions of each side.")
@click.option("--steps", default=20, show_default=True, help="Training steps in which waiting is counted.")
@click.option("--links", default=200_000, show_default=True, help="Hard links of which memory is taken; 0: not.")
def main(photos: Path, rounds: int, steps: int, links: int) -> None:
    """Print the table of figures and write the note."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        folder = photos
        if photos.is_file():
            folder = Path(scratch) / "photos"
            with tarfile.open(photos) as tar:
                tar.extractall(folder, filter="data")
        source = scan_folder(folder)
        rows = [*one_core(source, rounds), workers(source, rounds), waiting(source, steps)]
        rows += memory(source, Path(scratch), links) if links else []
    for row in rows:
        remark(": ".join((row[0], ", ".join(row[1:]))))
    write_note("images", __doc__, COLUMNS, rows)


# ------------------------------------------------------------------------------------------------------------ speed


class PilCrops(Dataset[tuple[Tensor, int]]):
    """What torchvision's RandomResizedCrop, flip, ToTensor and Normalize do, by PIL."""

    def __init__(self, source: FolderSource) -> None:
        self.source = source
        self.crop: Augmentation = CROP
        self.mean, self.std = (torch.tensor(values).reshape(-1, 1, 1) for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng(index)
        with Image.open(self.source.path(index)) as opened:
            image = opened.convert("RGB")
        top, left, height, width = self.crop.box(image.height, image.width, rng)
        image = image.crop((int(left), int(top), int(left + width), int(top + height)))
        image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x_CHW = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return x_CHW.sub_(self.mean).div_(self.std), int(self.source.labels[index])


def one_core(source: FolderSource, rounds: int) -> list[tuple[str, ...]]:
    """Return images for each second of a core: ours beside decoding alone, and beside the usual pipeline."""
    torch.set_num_threads(1)
    contents = [source.read(index) for index in range(len(source))]

    def decode() -> None:
        for content in contents:
            simplejpeg.decode_jpeg(content)

    sides = {"ours": lambda: cut(source), "decoding": decode, "PIL": lambda: drain_pil(source, 0)}
    seconds = alternating(sides, rounds, time.process_time)
    speed = {name: len(source) / value for name, value in seconds.items()}
    return [
        (f"crops of {SIZE} px a core, simplejpeg's decoding alone", *beside(speed["ours"], speed["decoding"])),
        (f"crops of {SIZE} px a core, PIL in a DataLoader", *beside(speed["ours"], speed["PIL"])),
    ]


def workers(source: FolderSource, rounds: int) -> tuple[str, ...]:
    """Return images a second through two worker processes, ours beside the usual pipeline."""
    sides = {"ours": lambda: drain(source, 2), "PIL": lambda: drain_pil(source, 2)}
    seconds = alternating(sides, rounds, time.perf_counter)
    speed = {name: len(source) / value for name, value in seconds.items()}
    return (f"crops of {SIZE} px by two workers, PIL in a DataLoader", *beside(speed["ours"], speed["PIL"]))


def batches_of(source: FolderSource, num_workers: int, folder: Path = Path()) -> PhotoBatches:
    """Return the photos as training reads them."""
    reading = Reading(in_channels=3, size=SIZE, folder=folder, num_workers=num_workers)
    return PhotoBatches(source, reading, CROP, mean=MEAN, std=STD)


def cut(source: FolderSource) -> None:
    """Do what a worker does for one pass of our batches."""
    cuts = Cuts(source, 3, CROP, replaces=True)
    for first in range(0, len(source), BATCH_SIZE):
        cuts[Wanted(tuple(range(first, min(first + BATCH_SIZE, len(source)))), SIZE, (0, first))]


def drain(source: FolderSource, num_workers: int) -> None:
    """Take one pass of our batches."""
    draws = Draws(steps=range(len(source) // BATCH_SIZE), batch_size=BATCH_SIZE, seed=(0,), size_at=lambda _: SIZE)
    rng = np.random.default_rng(0)
    with batches_of(source, num_workers).feed(draws) as feed:
        for step in draws.steps:
            feed.at(step, [SIZE], rng)


def drain_pil(source: FolderSource, num_workers: int) -> None:
    """Take one pass of the usual batches."""
    loader = DataLoader(PilCrops(source), BATCH_SIZE, shuffle=True, num_workers=num_workers, drop_last=True)
    for _ in loader:
        pass


def alternating(sides: dict[str, Callable[[], None]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return the median seconds of each side, which take turns after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            began = clock()
            run()
            seconds[name].append(clock() - began)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def beside(ours: float, other: float) -> tuple[str, str, str]:
    """Return two speeds and their ratio as cells."""
    return f"{ours:.0f}/s", f"{other:.0f}/s", f"{ours / other:.2f}"


# ---------------------------------------------------------------------------------------------------------- waiting


def waiting(source: FolderSource, steps: int) -> tuple[str, ...]:
    """Return the share of the time in which the largest subnet waits for photos, two threads and two workers."""
    prepare_cpu(2)
    space = get_space("ofa-mobilenetv3-w1.0")
    arch = dataclasses.replace(space.largest, resolution=WAITING_RESOLUTION)
    phase = Phase(name="largest", num_images=steps * BATCH_SIZE, learning_rate=1e-3)
    learner = Learner(channels_last(Supernet(space)), TrainingConfig(phases=(phase,)), ALONE, None)
    learner.begin_phase(phase)
    learner.train()
    draws = Draws(steps=range(steps + 2), batch_size=BATCH_SIZE, seed=(0,), size_at=lambda _: WAITING_RESOLUTION)
    rng = np.random.default_rng(0)
    with batches_of(source, 2).feed(draws) as feed:
        for step in draws.steps:
            if step == 2:  # the workers have begun
                began, waited = time.perf_counter(), feed.waited_seconds
            images, labels = feed.at(step, [WAITING_RESOLUTION], rng)
            batch = Batch(archs=(arch,), images=images, labels=labels, soft_labels=None)
            learner.finish(learner.begin(phase, batch), 1e-3, step)
        whole, waited = time.perf_counter() - began, feed.waited_seconds - waited
    speed = steps * BATCH_SIZE / whole
    return f"waiting for photos at {WAITING_RESOLUTION} px", f"{waited / whole:.2%}", f"{speed:.1f} images/s", ""


# ----------------------------------------------------------------------------------------------------------- memory

_PROBE = """
import json, sys, time
from pathlib import Path
from ofa_hw.images import load_dataset
began = time.perf_counter()
dataset = load_dataset(sys.argv[1], in_channels=3, image_size=224, index_folder=Path(sys.argv[2]))
seconds = time.perf_counter() - began
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak, "images": len(dataset.train)}))
"""


def memory(source: FolderSource, scratch: Path, num_links: int) -> Iterator[tuple[str, ...]]:
    """Yield what scanning takes of 2,000 photos and of `num_links`, at first and from the index."""
    told: dict[int, list[dict[str, Any]]] = {}
    for num in (2000, num_links):
        folder = scratch / f"links-{num}"
        for index in range(num):
            path = folder / "train" / f"class-{index % 100:03d}" / f"photo-{index:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source.path(index % len(source)), path)
        time.sleep(3)  # an index is taken once the folders have not changed for two seconds
        command = [sys.executable, "-c", _PROBE, str(folder), str(scratch / f"index-{num}")]
        told[num] = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)
        ]
    few, many = told[2000], told[num_links]
    peaks = [max(row["peak_mb"] for row in rows) for rows in (many, few)]
    yield (
        f"peak memory, {num_links:,} photos beside 2,000",
        *(f"{peak:.0f} MB" for peak in peaks),
        (f"{peaks[0] - peaks[1]:+.0f} MB"),
    )
    yield (
        f"scanning {num_links:,} photos, from the index",
        f"{many[0]['seconds']:.2f} s",
        (f"{many[2]['seconds']:.2f} s"),
        "",
    )


if __name__ == "__main__":
    main()
