"""A subnet's scores: extracted, batch norm re-estimated, judged on one split."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.nn.layers import channels_last
from ofa_hw.predictor.samples import EvaluatedArch
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.batches import ImageBatches

Choice = TypeVar("Choice", int, float)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What a network reaches on a split; `top1` and `mean_true_prob` are fractions, the log-likelihood is in nats."""

    top1: float
    mean_true_prob: float
    mean_log_likelihood: float
    num_images: int


@torch.no_grad()
def predict_logits(net: nn.Module, images: ImageBatches, resolution: int, *, batch_size: int = 250) -> Tensor:
    """Return the logits (n, num_classes) of `net`, in eval mode, for every image of the split in its order."""
    was_training = net.training
    net.eval()
    logits = [net(x_BCHW) for x_BCHW in images.all_at(resolution, batch_size)]
    net.train(was_training)
    return torch.cat(logits)


def score_logits(logits: Tensor, labels: Tensor) -> Scores:
    """Return the scores of `logits` (n, num_classes) against the true classes `labels` (n,)."""
    log_probs = F.log_softmax(logits.double(), dim=1)
    true_log_prob = log_probs.gather(1, labels[:, None])
    return Scores(
        top1=(logits.argmax(1) == labels).double().mean().item(),
        mean_true_prob=true_log_prob.exp().mean().item(),
        mean_log_likelihood=min(true_log_prob.mean().item(), 0.0),
        num_images=len(labels),
    )


class SubnetJudge:
    """Judges subnets of one supernet: statistics from `calibration` images of train, scores from `images`."""

    def __init__(
        self,
        net: Supernet,
        calibration: ImageBatches,
        images: ImageBatches,
        *,
        num_calibration_images: int,
        checkpoint: str,
    ) -> None:
        """Judge by the first `num_calibration_images` of `calibration`; samples name the weights by `checkpoint`."""
        self.net = net
        self.images = images
        self.calibration = calibration.first(num_calibration_images)
        self.checkpoint = checkpoint

    def calibrated(self, arch: ArchConfig) -> nn.Sequential:
        """Return `arch` as a network of its own, its batch norm re-estimated, in eval mode."""
        subnet = channels_last(self.net.extract(arch))
        recalibrate_batch_norm(subnet, self.calibration.all_at(arch.resolution, 250))
        return subnet.eval()

    def judge(self, arch: ArchConfig) -> EvaluatedArch:
        """Return the scores of `arch`."""
        scores = score_logits(predict_logits(self.calibrated(arch), self.images, arch.resolution), self.images.labels)
        return EvaluatedArch(arch=arch, checkpoint=self.checkpoint, **dataclasses.asdict(scores))


def corner_archs(space: SearchSpace) -> dict[str, ArchConfig]:
    """Return the architectures by which training is followed: largest, middle and smallest of every choice."""

    def middle(choices: tuple[Choice, ...]) -> Choice:
        return choices[len(choices) // 2]

    return {
        "largest": space.largest,
        "middle": space.uniform_arch(
            resolution=middle(space.resolutions),
            kernel_size=middle(space.kernel_sizes),
            expand_ratio=middle(space.expand_ratios),
            depth=middle(space.depths),
        ),
        "smallest": space.smallest,
    }
