"""Random subnets of `fashion` judged together, sorted by how they begin, against one by one.

Each has its batch norm re-estimated on 1,000 training images and is judged on the 800 validation images of the built-in
set, by as many one-core threads on either side, in alternating rounds of one process. One by one a subnet is cut out,
recalibrated and run on its own. MACs are those of the blocks that are left when common first blocks count once.

    python -m benchmarks.evaluation --num 200 --rounds 3 --threads 2
"""

from __future__ import annotations

import statistics
import time

import click
import torch

from benchmarks.note import write_note
from ofa_hw.blocks import block_macs, block_specs
from ofa_hw.cli.console import remark
from ofa_hw.images import BUILTIN, load_dataset
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.cpu import one_core_pool, prepare_cpu
from ofa_hw.training.evaluate import Scores, SubnetJudge, evaluate_all, predict_logits, score_logits, sorted_by_prefix
from ofa_hw.training.sampling import draw_distinct

COLUMNS = (
    "subnets",
    "rounds",
    "MACs left",
    "together, s",
    "one by one, s",
    "ratio",
    "largest difference of a likelihood",
)


@click.command()
@click.option("--num", "nums", multiple=True, default=(200, 1000), show_default=True, help="Subnets.")
@click.option("--rounds", default=3, show_default=True, help="Repetitions of fewer than 500 subnets.")
@click.option("--threads", default=2, show_default=True)
def main(nums: tuple[int, ...], rounds: int, threads: int) -> None:
    """Print the table and write the note."""
    prepare_cpu(threads)
    space = get_space("fashion")
    dataset = load_dataset(BUILTIN, in_channels=space.in_channels, image_size=space.resolutions[-1])
    mean, std = dataset.channel_statistics(space.in_channels, space.resolutions[-1])
    train, val = (ImageBatches(part, mean=mean, std=std) for part in (dataset.train, dataset.val))
    net = channels_last(Supernet(space, generator=torch.Generator().manual_seed(0))).eval()
    judge = SubnetJudge(net, train, val, num_calibration_images=1000, checkpoint="")
    warm_up = draw_distinct(space, 20, seed=1)
    together(judge, space, warm_up, threads)
    one_by_one(judge, warm_up, threads)
    rows = []
    for num in nums:
        rows.append(row(judge, space, num, rounds, threads))
        remark(", ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, rows[-1], strict=True)))
    write_note("evaluation", __doc__, COLUMNS, rows)


def row(judge: SubnetJudge, space: SearchSpace, num: int, rounds: int, threads: int) -> tuple[str, ...]:
    """Return the figures of `num` subnets."""
    archs = draw_distinct(space, num, seed=0)
    rounds = rounds if num < 500 else 1
    ours, theirs = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        shared = together(judge, space, archs, threads)
        middle = time.perf_counter()
        alone = one_by_one(judge, archs, threads)
        ours.append(middle - begin)
        theirs.append(time.perf_counter() - middle)
    away = max(abs(shared[arch] - scores.mean_log_likelihood) for arch, scores in alone.items())
    mine, its = statistics.median(ours), statistics.median(theirs)
    left = f"{share_of_macs(space, archs):.0%}"
    return str(num), str(rounds), left, f"{mine:.1f}", f"{its:.1f}", f"{its / mine:.2f} x faster", f"{away:.0e}"


def together(judge: SubnetJudge, space: SearchSpace, archs: list[ArchConfig], threads: int) -> dict[ArchConfig, float]:
    """Return the mean log-likelihood of each subnet, as `ofa-hw sample` finds it."""
    samples = evaluate_all(judge, sorted_by_prefix(space, archs), num_workers=threads)
    return {sample.arch: sample.mean_log_likelihood for sample in samples}


def one_by_one(judge: SubnetJudge, archs: list[ArchConfig], threads: int) -> dict[ArchConfig, Scores]:
    """Return the scores of each subnet, cut out and recalibrated on its own."""

    def judge_alone(arch: ArchConfig) -> Scores:
        logits = predict_logits(judge.calibrated(arch), judge.images, arch.resolution)
        return score_logits(logits, judge.images.labels)

    with one_core_pool(threads) as pool:
        return dict(zip(archs, pool.map(judge_alone, archs), strict=True))


def share_of_macs(space: SearchSpace, archs: list[ArchConfig]) -> float:
    """Return the share of all MACs that is left when common first blocks count once."""
    total, left, seen = 0, 0, set()
    for arch in archs:
        specs = block_specs(space, arch)
        for end, spec in enumerate(specs, start=1):
            total += block_macs(spec)
            if specs[:end] not in seen:
                seen.add(specs[:end])
                left += block_macs(spec)
    return left / total


if __name__ == "__main__":
    main()
