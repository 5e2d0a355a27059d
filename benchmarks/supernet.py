"""The supernet against PyPI's `ofa` on the same weights, in one process, side by side, medians of alternating rounds.

Training steps are of batch 32 at 128 px, ours those of the trainer, which clips gradients as well. The width phase's
step is the teacher and four random subnets, one after the other there, side by side on one core each here. Both sides
have the allocator that `prepare_cpu` sets, which helps the peer too. Peak memory is the resident set of a process that
does nothing else.

    python -m benchmarks.supernet --rounds 15 --threads 2
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import once_for_all as peer
from benchmarks.note import write_note
from ofa_hw.cli.console import remark
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.space import ArchConfig, get_space
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.cpu import one_core_pool, prepare_cpu
from ofa_hw.training.learner import Batch, Learner
from ofa_hw.training.ranks import ALONE
from ofa_hw.training.schedule import Phase

SPACE = get_space("ofa-mobilenetv3-w1.0")
BATCH_SIZE, RESOLUTION = 32, 128
RATE, WEIGHT_DECAY = 1e-6, 3e-5
"""Of either side's optimiser; the rate is too small to part their weights."""
LARGEST = dataclasses.replace(SPACE.largest, resolution=RESOLUTION)
COLUMNS = ("figure", "ours", "peer or static", "ratio")


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Repetitions of each step.")
@click.option("--threads", default=2, show_default=True)
def main(rounds: int, threads: int) -> None:
    """Print the table of figures and write the note."""
    prepare_cpu(threads)
    torch.manual_seed(0)
    theirs = peer.make_peer()
    ours = channels_last(Supernet(SPACE))
    ours.load_published(theirs.state_dict())
    makers = [
        lambda: extraction(ours, theirs, 20 * rounds),
        lambda: largest_step(ours, theirs, rounds, threads),
        lambda: width_step(ours, theirs, rounds, threads),
        lambda: elastic_against_static(ours, "largest", rounds),
        lambda: elastic_against_static(ours, "smallest", rounds),
        lambda: compiled_against_eager(ours, rounds),
        lambda: peak_memory(threads),
    ]
    rows = []
    for make in makers:
        rows.append(make())
        remark(": ".join((rows[-1][0], ", ".join(rows[-1][1:]))))
    write_note("supernet", __doc__, COLUMNS, rows)


def extraction(ours: Supernet, theirs: nn.Module, rounds: int) -> tuple[str, ...]:
    """Return the row of cutting out a random subnet."""
    archs = SPACE.sample(rounds, np.random.default_rng(0))
    for arch in SPACE.sample(100, np.random.default_rng(1)):
        ours.extract(arch)  # the first of each form is constructed
    mine, its = alternate(lambda i: ours.extract(archs[i]), lambda i: peer.cut_out(theirs, archs[i]), rounds)
    return "set and extract a subnet, ms", f"{1e3 * mine:.1f}", f"{1e3 * its:.1f}", f"{its / mine:.1f} x faster"


def largest_step(ours: Supernet, theirs: nn.Module, rounds: int, threads: int) -> tuple[str, ...]:
    """Return the row of the first phase."""
    x_BCHW, labels = batch()
    archs = [LARGEST]
    with one_core_pool(threads) as pool:
        mine, its = alternate(
            step_of(ours, archs, x_BCHW, labels, pool), peer_step_of(theirs, None, archs, x_BCHW, labels), rounds
        )
    return images_a_second("training step of the largest subnet, images/s", mine, its)


def width_step(ours: Supernet, theirs: nn.Module, rounds: int, threads: int) -> tuple[str, ...]:
    """Return the row of a teacher and four subnets."""
    x_BCHW, labels = batch()
    archs = [dataclasses.replace(arch, resolution=RESOLUTION) for arch in SPACE.sample(4, np.random.default_rng(2))]
    its_teacher = peer.cut_out(theirs, SPACE.largest).eval()
    with one_core_pool(threads) as pool:
        mine, its = alternate(
            step_of(ours, archs, x_BCHW, labels, pool),
            peer_step_of(theirs, its_teacher, archs, x_BCHW, labels),
            rounds,
        )
    return images_a_second("step of the width phase, images/s", mine, its)


def elastic_against_static(ours: Supernet, name: str, rounds: int) -> tuple[str, ...]:
    """Return the row of the space's `largest` or `smallest` subnet within the supernet and cut out of it."""
    arch: ArchConfig = getattr(SPACE, name)
    x_BCHW, labels = batch()
    static = channels_last(ours.extract(arch)).train()
    ours.train()
    parameters, its_parameters = list(ours.parameters()), list(static.parameters())
    mine, its = alternate(
        lambda _: torch.autograd.grad(F.cross_entropy(ours(x_BCHW, arch), labels), parameters, allow_unused=True),
        lambda _: torch.autograd.grad(F.cross_entropy(static(x_BCHW), labels), its_parameters),
        rounds,
    )
    figure = f"forward and backward of the {name} subnet, elastic against static, ms"
    return figure, f"{1e3 * mine:.0f}", f"{1e3 * its:.0f}", f"{mine / its:.3f} of its time"


def compiled_against_eager(ours: Supernet, rounds: int) -> tuple[str, ...]:
    """Return the row of torch.compile, which is for one network at a time: the largest subnet, cut out."""
    x_BCHW, labels = batch()
    eager = channels_last(ours.extract(LARGEST)).train()
    compiled = torch.compile(channels_last(ours.extract(LARGEST)).train())
    parameters, its_parameters = list(compiled.parameters()), list(eager.parameters())
    begin = time.perf_counter()
    torch.autograd.grad(F.cross_entropy(compiled(x_BCHW), labels), parameters)
    seconds = time.perf_counter() - begin
    mine, its = alternate(
        lambda _: torch.autograd.grad(F.cross_entropy(compiled(x_BCHW), labels), parameters),
        lambda _: torch.autograd.grad(F.cross_entropy(eager(x_BCHW), labels), its_parameters),
        rounds,
    )
    figure = f"the static largest subnet compiled ({seconds:.0f} s) against eager, ms"
    return figure, f"{1e3 * mine:.0f}", f"{1e3 * its:.0f}", f"{mine / its:.3f} of its time"


def peak_memory(threads: int) -> tuple[str, ...]:
    """Return the row of the memory, each side in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    peaks = []
    for side in ("ours", "peer"):
        with spawn.Pool(1) as pool:
            peaks.append(pool.apply(peak_of, (side, threads)))
    mine, its = peaks
    figure = "peak memory of the training step of the largest subnet, MB"
    return figure, f"{mine:.0f}", f"{its:.0f}", f"{mine / its:.2f} of its memory"


def peak_of(side: str, threads: int) -> float:
    """Return the largest resident set, in MB, of this process after three steps."""
    prepare_cpu(threads)
    x_BCHW, labels = batch()
    if side == "ours":
        step = step_of(
            Supernet(SPACE),
            [LARGEST],
            x_BCHW,
            labels,
            one_core_pool(threads),
        )
    else:
        step = peer_step_of(peer.make_peer(), None, [SPACE.largest], x_BCHW, labels)
    for turn in range(3):
        step(turn)
    # ru_maxrss would be that of the parent, which a process inherits over fork and exec.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def step_of(
    net: Supernet, archs: list[ArchConfig], x_BCHW: Tensor, labels: Tensor, pool: ThreadPoolExecutor
) -> Callable[[int], None]:
    """Return a training step of ours; of several subnets with the teacher, who looks at the next batch meanwhile."""
    teaches = len(archs) > 1
    phase = Phase(
        name="step", num_images=1, learning_rate=RATE, num_subnets=len(archs), distill_weight=1.0 if teaches else 0.0
    )
    learner = Learner(net, TrainingConfig(phases=(phase,), weight_decay=WEIGHT_DECAY), ALONE, pool)
    learner.begin_phase(phase)
    learner.train()
    batch_ = Batch(
        archs=tuple(archs),
        images={RESOLUTION: x_BCHW},
        labels=labels,
        soft_labels=learner.soft_labels(x_BCHW) if teaches else None,
    )

    def step(turn: int) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if teaches else threads)
        lessons = learner.begin(phase, batch_)
        upcoming = pool.submit(learner.soft_labels, x_BCHW) if teaches else None
        learner.finish(lessons, RATE, turn)
        if upcoming:
            upcoming.result()
        torch.set_num_threads(threads)

    return step


def peer_step_of(
    net: nn.Module, teacher: nn.Module | None, archs: list[ArchConfig], x_BCHW: Tensor, labels: Tensor
) -> Callable[[int], None]:
    """Return a training step of the peer."""
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY)
    x_BCHW = x_BCHW.contiguous()
    return lambda _: peer.train_step(net, teacher, archs, x_BCHW, labels, optimizer)


def batch() -> tuple[Tensor, Tensor]:
    """Return the images and labels of every step."""
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(BATCH_SIZE, 3, RESOLUTION, RESOLUTION, generator=generator)
    labels = torch.randint(SPACE.num_classes, (BATCH_SIZE,), generator=generator)
    return x_BCHW.contiguous(memory_format=torch.channels_last), labels


def alternate(mine: Callable[[int], object], its: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of either; they take turns, so that what else is running disturbs both."""
    mine(0)
    its(0)
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for times, work in zip(seconds, (mine, its), strict=True):
            start = time.perf_counter()
            work(turn)
            times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def images_a_second(figure: str, mine: float, its: float) -> tuple[str, ...]:
    """Return the row of two steps, given in seconds."""
    return figure, f"{BATCH_SIZE / mine:.1f}", f"{BATCH_SIZE / its:.1f}", f"{its / mine:.2f} x"


if __name__ == "__main__":
    main()
