"""int8 against float32 TFLite: accuracy, latency and size of the verified networks of a run.

Both files of a network are written by `ofa-hw export` and run in LiteRT on one core; the scales of int8 come from 500
training images. Top-1 is of the images of a folder, by default Fashion-MNIST's 10,000 test images (Debian's package
dataset-fashion-mnist). The two files are timed in turn, a hundred runs each, and the ratio is that of the medians.

    python -m benchmarks.int8 --run runs/demo
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch

from benchmarks.note import write_note
from ofa_hw.cli.console import show_progress
from ofa_hw.deploy import export_chosen
from ofa_hw.formats.running import tflite_runner
from ofa_hw.images import load_dataset
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training import open_images
from ofa_hw.training.batches import ImageBatches

COLUMNS = ("network", "parameters", "top-1 float", "top-1 int8", "drop, points", "ms float", "ms int8", "time", "size")
NUM_ROUNDS = 40


@click.command()
@click.option("--run", type=click.Path(path_type=Path), help="The run.  [default: the last]")
@click.option("--data", default="/usr/share/datasets/fashion-mnist", show_default=True, help="Folder of the IDX files.")
def main(run: Path | None, data: str) -> None:
    """Compare the two files of each verified network."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = RunFolder.open(run)
    own = open_images(folder)
    whole = load_dataset(data, in_channels=folder.space.in_channels, image_size=folder.space.resolutions[-1])
    images = ImageBatches(whole.test, mean=own.train.mean, std=own.train.std)
    archs = [ArchConfig.from_json(text) for text in pd.read_csv(folder.verified_path)["arch"]]
    rows = []
    with show_progress() as progress:
        for index, arch in enumerate(archs):
            rows.append(_compare(folder, arch, images))
            progress("compare int8 with float32", index + 1, len(archs))
    write_note("int8", __doc__, COLUMNS, rows)


def _compare(run: RunFolder, arch: ArchConfig, images: ImageBatches) -> tuple[str, ...]:
    from ofa_hw.blocks import num_params

    x_BCHW = torch.cat(list(images.all_at(arch.resolution, 250))).contiguous().numpy()
    contents, sizes, top1 = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tflite", "tflite-int8"):
            check = export_chosen(run, arch, name, Path(folder) / name).check
            contents.append(check.path.read_bytes())
            sizes.append(check.num_bytes)
    for runner in map(tflite_runner, contents):
        found = np.array([runner(x[None])[0].argmax() for x in x_BCHW])
        top1.append(float((found == images.labels.numpy()).mean()))
    times = _times_ms(contents)
    return (
        arch.arch_id,
        f"{num_params(run.space, arch):,}",
        f"{100 * top1[0]:.2f} %",
        f"{100 * top1[1]:.2f} %",
        f"{100 * (top1[0] - top1[1]):+.2f}",
        *(f"{value:.4f}" for value in times),
        f"{times[1] / times[0]:.2f}",
        f"{sizes[1] / sizes[0]:.3f}",
    )


def _times_ms(contents: list[bytes]) -> list[float]:
    """Return the median time of one run of each model, nothing but its invocation."""
    from ai_edge_litert.interpreter import Interpreter

    interpreters = [Interpreter(model_content=content, num_threads=1) for content in contents]
    for interpreter in interpreters:
        interpreter.allocate_tensors()
        interpreter.invoke()
    times: list[list[float]] = [[] for _ in contents]
    for _ in range(NUM_ROUNDS):
        for place, interpreter in enumerate(interpreters):
            begin = time.perf_counter()
            for _ in range(100):
                interpreter.invoke()
            times[place].append((time.perf_counter() - begin) * 10)
    return [statistics.median(of_one) for of_one in times]


if __name__ == "__main__":
    main()
