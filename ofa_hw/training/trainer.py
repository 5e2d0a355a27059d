"""The training loop: progressive shrinking is the phases it is given, resuming is the position it starts from."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import time
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.blocks import num_macs
from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl, write_jsonl
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.batches import ImageBatches, batch_indices
from ofa_hw.training.checkpoint import Checkpoint, Position, read_last_checkpoint, save_weights, write_checkpoint
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.cpu import one_core_pool
from ofa_hw.training.evaluate import SubnetJudge, corner_archs
from ofa_hw.training.schedule import Phase

logger = logging.getLogger(__name__)

ROWS_EVERY = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Batch:
    """What the subnets of one step learn from."""

    archs: tuple[ArchConfig, ...]
    x_BCHW: Tensor
    labels: Tensor
    soft_labels: Tensor | None

    def largest_first(self, space: SearchSpace) -> list[int]:
        """Return the places of the subnets from the one that takes longest."""
        return sorted(range(len(self.archs)), key=lambda place: -num_macs(space, self.archs[place]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Lesson:
    """The logits and loss of one subnet, and its gradient for every parameter, None where it has no part in it."""

    place: int
    logits: Tensor
    loss: Tensor
    gradients: tuple[Tensor | None, ...]


class Trainer:
    """Trains a supernet through the phases of its configuration and leaves all that it learns in the run folder."""

    def __init__(
        self, net: Supernet, config: TrainingConfig, run: RunFolder, *, train: ImageBatches, val: ImageBatches
    ) -> None:
        """Train `net`, whose weights are those at the start, on `train`; `val` follows it at the end of each phase."""
        self.net = channels_last(net)
        self.config = config
        self.run = run
        self.train_images, self.val_images = train, val
        self.teacher: nn.Module | None = None
        self.position = Position()
        # A net for each subnet of a step; the first one's statistics are kept.
        num_nets = max(phase.num_subnets for phase in config.phases)
        self._nets = [self.net, *(self.net.twin() for _ in range(num_nets - 1))]
        self._parameters = list(self.net.parameters())
        self.optimizer = self._make_optimizer()
        self._num_threads = torch.get_num_threads()
        self._pool = one_core_pool(self._num_threads)
        self._began = time.monotonic()

    # ------------------------------------------------------------------------------------------------- running

    def train(self, progress: ProgressCallback = no_progress) -> None:
        """Train from the position reached to the end, then write the weights.

        Raises:
            RunError: the loss is no longer finite.
        """
        with self._pool:
            while self.position.phase < len(self.config.phases):
                self._train_phase(self.config.phases[self.position.phase], progress)
        save_weights(self.run.supernet_path, self.net.state_dict(), {"config": self.config.digest})

    def resume(self) -> bool:
        """Go back to the last checkpoint of the run, and cut its journal there; False where there is none.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another configuration or space.
        """
        checkpoint = read_last_checkpoint(self.run.checkpoints_path)
        rows = read_jsonl(self.run.metrics_path)
        if checkpoint is None:
            write_jsonl(self.run.metrics_path, [])
            return False
        if checkpoint.config != self.config.digest:
            raise RunError(
                f"{self.run.checkpoints_path} belongs to another configuration than config.toml; train in another --run"
            )
        self.position = checkpoint.position
        self.net.load_state_dict(checkpoint.group("net"))
        if checkpoint.group("teacher"):
            self._make_teacher().load_state_dict(checkpoint.group("teacher"))
        momentum = checkpoint.group("momentum")
        for name, parameter in self.net.named_parameters():
            if name in momentum:
                buffer = torch.empty_like(parameter).copy_(momentum[name])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        write_jsonl(self.run.metrics_path, rows[: self.position.num_rows])
        return True

    def _train_phase(self, phase: Phase, progress: ProgressCallback) -> None:
        num_steps = phase.num_steps(self.config.batch_size)
        if self.position.step == 0:
            self._begin_phase(phase)
        opened = phase.open_space(self.net.space)
        for net in self._nets:
            net.train()
        # Idle threads of one wait by spinning, and would take the cores from the other.
        side_by_side = phase.num_subnets > 1
        torch.set_num_threads(1 if side_by_side else self._num_threads)
        num_images = num_steps * self.config.batch_size
        progress(f"train {phase.name}", self.position.step * self.config.batch_size, num_images)
        upcoming: Future[_Batch] | None = None
        for step in range(self.position.step, num_steps):
            batch = upcoming.result() if upcoming else self._make_batch(phase, opened, step)
            lessons, places = [], batch.largest_first(self.net.space)
            if phase.in_place or not side_by_side:
                lessons, places = [self._learn(phase, batch, 0)], [place for place in places if place]
                batch = dataclasses.replace(batch, soft_labels=lessons[0].logits.softmax(1)) if places else batch
            learnt = [self._pool.submit(self._learn, phase, batch, place) for place in places]
            # The teacher looks at the next batch on the core whose subnet is done first.
            make_next = side_by_side and step + 1 < num_steps
            upcoming = self._pool.submit(self._make_batch, phase, opened, step + 1) if make_next else None
            lessons += [future.result() for future in learnt]
            learning_rate = phase.learning_rate_at(step, num_steps)
            loss = self._step(sorted(lessons, key=lambda lesson: lesson.place), learning_rate)
            if (step + 1) % ROWS_EVERY == 0 or step + 1 == num_steps:
                self._note_step(phase, step + 1, loss.item(), learning_rate)
                progress(f"train {phase.name}", (step + 1) * self.config.batch_size, num_images)
            if (step + 1) % self.config.checkpoint_every == 0 and step + 1 < num_steps:
                self._move_to(phase=self.position.phase, step=step + 1)
        self._end_phase(phase, num_steps)

    def _make_batch(self, phase: Phase, opened: SearchSpace, step: int) -> _Batch:
        """Return what a step learns from, a function of its number alone."""
        rng = np.random.default_rng([self.config.seed, self.position.phase, step])
        archs = phase.draw(opened, rng)
        seed = (self.config.seed, self.position.phase)
        indices = batch_indices(len(self.train_images), self.config.batch_size, step, seed)
        x_BCHW = self.train_images.augmented(
            indices, archs[0].resolution, rng, max_shift=self.config.max_shift, flip=self.config.flip
        )
        soft_labels = self._soft_labels(x_BCHW) if phase.distill_weight else None
        return _Batch(
            archs=tuple(archs), x_BCHW=x_BCHW, labels=self.train_images.labels[indices], soft_labels=soft_labels
        )

    @torch.no_grad()
    def _soft_labels(self, x_BCHW: Tensor) -> Tensor:
        assert self.teacher is not None, "a phase that distils comes after the largest network was trained"
        return self.teacher(x_BCHW).softmax(1)

    def _learn(self, phase: Phase, batch: _Batch, place: int) -> _Lesson:
        """Return the loss and the gradients of the subnet at `place` of the batch."""
        net = self._nets[place]
        logits = net(batch.x_BCHW, batch.archs[place])
        if phase.in_place and batch.soft_labels is not None:
            loss = F.cross_entropy(logits, batch.soft_labels)
        else:
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)
            if batch.soft_labels is not None:
                loss = loss + phase.distill_weight * F.cross_entropy(logits, batch.soft_labels)
        gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        return _Lesson(place=place, logits=logits.detach(), loss=loss.detach(), gradients=gradients)

    def _step(self, lessons: list[_Lesson], learning_rate: float) -> Tensor:
        """Take one step of the optimiser by the sum of the gradients; return the mean loss."""
        for parameter, *parts in zip(self._parameters, *(lesson.gradients for lesson in lessons), strict=True):
            present = [part for part in parts if part is not None]
            parameter.grad = functools.reduce(torch.add, present) if present else None
        if self.config.max_grad_norm:
            nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm * len(lessons))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        return torch.stack([lesson.loss for lesson in lessons]).mean()

    # -------------------------------------------------------------------------------------------- phase borders

    def _begin_phase(self, phase: Phase) -> None:
        if phase.distill_weight and self.teacher is None:
            self._make_teacher()
        if phase.sort_stage is not None:
            self.net.sort_channels(phase.sort_stage)
        self.optimizer = self._make_optimizer()

    def _end_phase(self, phase: Phase, num_steps: int) -> None:
        judge = SubnetJudge(
            self.net,
            self.train_images,
            self.val_images,
            num_calibration_images=self.config.num_calibration_images,
            checkpoint=self.config.digest,
        )
        evals = {name: judge.judge(arch) for name, arch in corner_archs(self.net.space).items()}
        self._append(
            {
                "kind": "phase_end",
                "phase": phase.name,
                "index": self.position.phase,
                "images": num_steps * self.config.batch_size,
                "seconds": self._seconds(),
                "evals": {
                    name: {"arch_id": result.arch.arch_id, "top1": result.top1, "mean_true_prob": result.mean_true_prob}
                    for name, result in evals.items()
                },
            }
        )
        told = ", ".join(f"{name} {result.top1:.3f}" for name, result in evals.items())
        logger.info("%s: top-1 on the validation images: %s", phase.name, told)
        self._move_to(phase=self.position.phase + 1, step=0)

    def _move_to(self, *, phase: int, step: int) -> None:
        """Write a checkpoint of the position (phase, step)."""
        self.position = dataclasses.replace(self.position, phase=phase, step=step, seconds=self._seconds())
        self._began = time.monotonic()
        tensors = {f"net.{key}": value for key, value in self.net.state_dict().items()}
        if self.teacher is not None:
            tensors |= {f"teacher.{key}": value for key, value in self.teacher.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            buffer = self.optimizer.state.get(parameter, {}).get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer
        write_checkpoint(
            self.run.checkpoints_path, Checkpoint(position=self.position, config=self.config.digest, tensors=tensors)
        )

    # --------------------------------------------------------------------------------------------------- parts

    def _make_optimizer(self) -> torch.optim.SGD:
        return make_optimizer(
            self.net,
            learning_rate=self.config.phases[0].learning_rate,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
        )

    def _make_teacher(self) -> nn.Module:
        """Keep the largest network as it is now, for the phases that distil."""
        teacher = channels_last(self.net.extract(self.net.space.largest))
        self.teacher = teacher.requires_grad_(False).eval()
        return self.teacher

    def _note_step(self, phase: Phase, step: int, loss: float, learning_rate: float) -> None:
        if not math.isfinite(loss):
            raise RunError(
                f"the loss of phase {phase.name!r} must stay finite; it is {loss} at step {step}; "
                "train again with a lower --learning-rate"
            )
        self._append(
            {
                "kind": "step",
                "phase": phase.name,
                "step": step,
                "images": step * self.config.batch_size,
                "loss": loss,
                "learning_rate": learning_rate,
                "seconds": self._seconds(),
            }
        )

    def _append(self, row: dict[str, Any]) -> None:
        append_jsonl(self.run.metrics_path, row)
        self.position = dataclasses.replace(self.position, num_rows=self.position.num_rows + 1)

    def _seconds(self) -> float:
        return round(self.position.seconds + time.monotonic() - self._began, 3)


def make_optimizer(net: nn.Module, *, learning_rate: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum; convolutions and linear weights decay, batch norm and biases do not."""
    parameters = list(net.parameters())
    return torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        momentum=momentum,
        nesterov=momentum > 0,
    )
