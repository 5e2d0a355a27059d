"""A subnet's scores: it is extracted, its batch norm recalibrated, and judged on one split."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import block_specs
from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.nn.layers import channels_last
from ofa_hw.predictor.samples import EvaluatedArch
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.batches import JudgingImages, TrainingImages
from ofa_hw.training.cpu import one_core_pool
from ofa_hw.training.prefix_tree import PrefixTree
from ofa_hw.training.ranks import ALONE, Ranks

BATCH_SIZE = 250
"""Images in a batch, both where statistics are taken and where subnets are judged."""
JUDGED_TOGETHER = 16
"""Subnets in a tree; the weights of all of them are in memory at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What a network reaches on a split; `top1` and `mean_true_prob` are fractions, the log-likelihood is in nats."""

    top1: float
    mean_true_prob: float
    mean_log_likelihood: float
    num_images: int


@torch.no_grad()
def predict_logits(net: nn.Module, images: JudgingImages, resolution: int, *, batch_size: int = BATCH_SIZE) -> Tensor:
    """Return the logits (n, num_classes) of `net`, in eval mode, for every image of the split in its order."""
    was_training = net.training
    net.eval()
    logits = [net(x_BCHW) for x_BCHW in images.all_at(resolution, batch_size)]
    net.train(was_training)
    return torch.cat(logits)


def score_logits(logits: Tensor, labels: Tensor) -> Scores:
    """Return the scores of `logits` (n, num_classes) against the true classes `labels` (n,)."""
    return _Marks.of(logits, labels).scores()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Marks:
    """What each image of one batch or several contributes to the scores: `is_right` and `true_log_prob`, both (n,)."""

    is_right: Tensor
    true_log_prob: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> _Marks:
        log_probs = F.log_softmax(logits.double(), dim=1)
        return cls(is_right=logits.argmax(1) == labels, true_log_prob=log_probs.gather(1, labels[:, None])[:, 0])

    @classmethod
    def joined(cls, parts: Sequence[_Marks]) -> _Marks:
        return cls(
            is_right=torch.cat([part.is_right for part in parts]),
            true_log_prob=torch.cat([part.true_log_prob for part in parts]),
        )

    def scores(self) -> Scores:
        return Scores(
            top1=self.is_right.double().mean().item(),
            mean_true_prob=self.true_log_prob.exp().mean().item(),
            # Rounding may put a certain network above 0, which no log-likelihood is.
            mean_log_likelihood=min(self.true_log_prob.mean().item(), 0.0),
            num_images=len(self.is_right),
        )


class SubnetJudge:
    """Judges subnets of one supernet: statistics from `calibration` images of train, scores from `images`."""

    def __init__(
        self,
        net: Supernet,
        calibration: TrainingImages | JudgingImages,
        images: JudgingImages,
        *,
        num_calibration_images: int,
        checkpoint: str,
    ) -> None:
        """Draw `num_calibration_images` of `calibration`; samples name the weights by `checkpoint`."""
        self.net = net
        self.images = images
        self.calibration = calibration.draw(num_calibration_images)
        self.checkpoint = checkpoint
        self.stop = threading.Event()

    def calibrated(self, arch: ArchConfig) -> nn.Sequential:
        """Return `arch` as a network of its own, its batch norm recalibrated, in eval mode."""
        subnet = channels_last(self.net.extract(arch))
        recalibrate_batch_norm(subnet, self.calibration.all_at(arch.resolution, BATCH_SIZE))
        return subnet.eval()

    def judge(self, arch: ArchConfig) -> EvaluatedArch:
        """Return the scores of `arch`."""
        return self.judge_together([arch])[0]

    def judge_together(self, archs: Sequence[ArchConfig]) -> list[EvaluatedArch]:
        """Return the scores of each of `archs`, all of one resolution; those that begin alike share the work.

        A subnet's scores do not depend on the others, to the bit.
        """
        resolution = archs[0].resolution
        tree = PrefixTree(self.net, archs, self.stop)
        tree.calibrate(self.calibration.all_at(resolution, BATCH_SIZE))
        marks: list[list[_Marks]] = [[] for _ in archs]
        labels = self.images.labels.split(BATCH_SIZE)
        for x_BCHW, labels_B in zip(self.images.all_at(resolution, BATCH_SIZE), labels, strict=True):
            for of_arch, logits in zip(marks, tree.logits(x_BCHW), strict=True):
                of_arch.append(_Marks.of(logits, labels_B))
        return [
            EvaluatedArch(arch=arch, checkpoint=self.checkpoint, **dataclasses.asdict(_Marks.joined(parts).scores()))
            for arch, parts in zip(archs, marks, strict=True)
        ]


def sorted_by_prefix(space: SearchSpace, archs: Iterable[ArchConfig]) -> list[ArchConfig]:
    """Return `archs` in an order in which those of one resolution that begin alike stand together."""
    return sorted(archs, key=lambda arch: tuple(spec.key for spec in block_specs(space, arch)))


def evaluate_all(
    judge: SubnetJudge, archs: Iterable[ArchConfig], *, num_workers: int = 2, ranks: Ranks = ALONE
) -> Iterator[EvaluatedArch]:
    """Yield the scores by `judge` of each of `archs`, in order; processes and `num_workers` threads share the work.

    Subnets that follow each other and begin alike share their first blocks: sort them by `sorted_by_prefix` before. One
    core for each group of subnets is faster than all cores for one, and the scores do not depend on how many there are.
    """
    groups = [
        of_size[first : first + JUDGED_TOGETHER]
        for of_size in _runs_of_resolution(archs)
        for first in range(0, len(of_size), JUDGED_TOGETHER)
    ]
    pool = one_core_pool(num_workers)
    try:
        # Process r judges groups r, r + size, ...: in each turn below every process has one.
        own = pool.map(judge.judge_together, groups[ranks.rank :: ranks.size])
        for first in range(0, len(groups), ranks.size):
            at_once = groups[first : first + ranks.size]
            judged = next(own) if ranks.rank < len(at_once) else []
            yield from judged if ranks.size == 1 else _gathered(judge, at_once, judged, ranks)
    except BaseException:
        judge.stop.set()  # what is being judged would be waited for, which at 224 px takes a minute
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _runs_of_resolution(archs: Iterable[ArchConfig]) -> Iterator[list[ArchConfig]]:
    for _, run in itertools.groupby(archs, key=lambda arch: arch.resolution):
        yield list(run)


def _gathered(
    judge: SubnetJudge, groups: Sequence[Sequence[ArchConfig]], own: Sequence[EvaluatedArch], ranks: Ranks
) -> Iterator[EvaluatedArch]:
    """Yield the samples of all processes, each of which judged one of `groups`; only numbers are exchanged."""
    # All processes must bring the same shape: short groups, or none, are filled up with zeros.
    table = torch.zeros(JUDGED_TOGETHER, 3, dtype=torch.float64)
    for row, sample in zip(table, own, strict=False):
        row[:] = torch.tensor([sample.top1, sample.mean_true_prob, sample.mean_log_likelihood], dtype=torch.float64)
    parts = ranks.gather(table.to(ranks.device))
    for group, part in zip(groups, parts, strict=False):
        for arch, (top1, mean_true_prob, mean_log_likelihood) in zip(group, part.tolist(), strict=False):
            yield EvaluatedArch(
                arch=arch,
                top1=top1,
                mean_true_prob=mean_true_prob,
                mean_log_likelihood=mean_log_likelihood,
                num_images=len(judge.images),
                checkpoint=judge.checkpoint,
            )


def corner_archs(space: SearchSpace) -> dict[str, ArchConfig]:
    """Return the architectures by which training is followed: largest, middle and smallest of every choice."""
    middle = space.decode(np.array([space.num_choices]) // 2)[0]
    return {"largest": space.largest, "middle": middle, "smallest": space.smallest}
