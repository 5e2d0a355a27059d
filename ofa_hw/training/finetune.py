"""Fine-tuning of a chosen subnet, taught by the largest network (arXiv 1908.09791, section 4.3)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.nn import recalibrate_batch_norm
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.training.batches import Draws, TrainingImages
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.learner import make_optimizer
from ofa_hw.training.schedule import Phase


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a subnet is fine-tuned: as one phase of training, its rate falling by half a cosine.

    Raises:
        InvalidInputError: a value is outside its range.
    """

    num_images: int = 30_000
    batch_size: int = 64
    learning_rate: float = 0.1
    distill_weight: float = 0.5
    weight_decay: float = 3e-4
    momentum: float = 0.9
    label_smoothing: float = 0.1
    max_grad_norm: float = 5.0
    max_shift: int = 1
    flip: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InvalidInputError(f"batch_size must be 1 or more; came {self.batch_size}")
        self.phase  # noqa: B018  (its own checks)

    @classmethod
    def like(cls, training: TrainingConfig, *, num_images: int = 30_000, learning_rate: float = 0.1) -> FinetuneConfig:
        """Return the configuration that treats images, labels and weights as the `training` of the supernet did."""
        names = ("weight_decay", "momentum", "label_smoothing", "max_grad_norm", "max_shift", "flip")
        kept = {name: getattr(training, name) for name in names}
        return cls(num_images=num_images, learning_rate=learning_rate, **kept)

    @property
    def phase(self) -> Phase:
        """The one phase that this is."""
        return Phase(
            name="finetune",
            num_images=self.num_images,
            learning_rate=self.learning_rate,
            distill_weight=self.distill_weight,
            warmup_fraction=0.05,
        )


def finetune(
    subnet: nn.Module,
    teacher: nn.Module | None,
    images: TrainingImages,
    resolution: int,
    config: FinetuneConfig,
    *,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    name: str = "finetune",
) -> None:
    """Train `subnet` in place on `images` at `resolution`, then take its batch-norm statistics anew.

    `teacher` gives soft labels for the same batches (None: the labels alone). Same seed, same weights.

    Raises:
        RunError: the loss is no longer finite.
    """
    phase = config.phase
    batch_size = min(config.batch_size, len(images))
    num_steps = phase.num_steps(batch_size)
    optimizer = make_optimizer(
        subnet, learning_rate=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    subnet.train()
    draws = Draws(
        steps=range(num_steps),
        batch_size=batch_size,
        seed=(seed, 0xF1),
        size_at=lambda _: resolution,
        max_shift=config.max_shift,
        flip=config.flip,
    )
    with images.feed(draws) as feed:
        for step in draws.steps:
            drawn, labels = feed.at(step, [resolution], np.random.default_rng([seed, 0xF1, step]))
            x_BCHW = drawn[resolution]
            logits = subnet(x_BCHW)
            loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
            if teacher is not None and phase.distill_weight:
                with torch.no_grad():
                    soft_labels = teacher(x_BCHW).softmax(1)
                loss = loss + phase.distill_weight * F.cross_entropy(logits, soft_labels)
            feed.prefetch()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.max_grad_norm:
                nn.utils.clip_grad_norm_(subnet.parameters(), config.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate_at(step, num_steps)
            optimizer.step()
            if (step + 1) % 50 == 0 or step + 1 == num_steps:
                if not torch.isfinite(loss):
                    told = f"the loss of {name} must stay finite; it is {loss.item()}"
                    raise RunError(f"{told}; fine-tune with a lower learning rate")
                progress(name, (step + 1) * batch_size, num_steps * batch_size)
    recalibrate_batch_norm(subnet, images.draw(1000).all_at(resolution, 250))
    subnet.eval()
