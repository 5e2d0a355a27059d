"""The training loop: progressive shrinking is the phases it is given, resuming is the position it starts from."""

from __future__ import annotations

import dataclasses
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl, write_jsonl
from ofa_hw.nn import Supernet
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.batches import Draws, Feed, JudgingImages, TrainingImages
from ofa_hw.training.checkpoint import (
    Checkpoint,
    Position,
    read_last_checkpoint,
    require_shapes,
    save_weights,
    write_checkpoint,
)
from ofa_hw.training.config import TrainingConfig
from ofa_hw.training.cpu import one_core_pool
from ofa_hw.training.evaluate import SubnetJudge, corner_archs, evaluate_all
from ofa_hw.training.guard import MAX_ROLLBACKS
from ofa_hw.training.learner import Batch, Learner, group_of
from ofa_hw.training.ranks import ALONE, Ranks
from ofa_hw.training.schedule import Phase

logger = logging.getLogger(__name__)

ROWS_EVERY = 50
CHECKPOINT_SECONDS = 120.0


class Trainer:
    """Trains a supernet through the phases of its configuration and leaves all that it learns in the run folder.

    Several processes train one supernet: each on its part of every batch, the first of them alone writes.
    """

    def __init__(
        self,
        net: Supernet,
        config: TrainingConfig,
        run: RunFolder,
        *,
        train: TrainingImages,
        val: JudgingImages,
        ranks: Ranks = ALONE,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        """Train `net`, whose weights are those at the start, on `train`; `val` follows it at the end of each phase.

        At most `checkpoint_seconds` pass without a checkpoint.

        Raises:
            RunError: a batch cannot be divided among the processes.
        """
        self.net, self.config, self.run, self.ranks = net, config, run, ranks
        self.train_images, self.val_images = train, val
        self.position = Position()
        self._part = ranks.part_of(min(config.batch_size, len(train)))
        self._num_threads = torch.get_num_threads()
        self._pool = one_core_pool(self._num_threads)
        # A GPU is kept busy by one subnet after the other.
        self._works_side_by_side = ranks.device.type == "cpu"
        self.learner = Learner(net, config, ranks, self._pool if self._works_side_by_side else None)
        self._began = time.monotonic()
        self._checkpoint_seconds, self._is_told_to_stop = checkpoint_seconds, False

    def train(self, progress: ProgressCallback = no_progress) -> None:
        """Train from the position reached to the end, then write the weights.

        Raises:
            RunError: the loss is not finite, or back where guessing is, however often the rate is lowered.
            KeyboardInterrupt: SIGINT or SIGTERM came; the step at hand is kept. A second one ends at once.
        """
        with self._pool, self._signals_heard():
            while self.position.phase < len(self.config.phases):
                phase = self.config.phases[self.position.phase]
                if self._train_phase(phase, progress):
                    self._end_phase(phase)
                else:
                    self._roll_back(phase)
        if self.ranks.is_first:
            save_weights(self.run.supernet_path, self.net.state_dict(), {"config": self.config.digest})

    @contextmanager
    def _signals_heard(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM, the first time, instead of ending in the midst of a step."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python tells the main thread alone
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)

        def note(*_: object) -> None:
            self._is_told_to_stop = True
            restore()

        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, note)
        try:
            yield
        finally:
            restore()

    def resume(self, *, with_early: bool = True) -> bool:
        """Go back to the last checkpoint of the run, and cut its journal there; False where there is none.

        Those that were written by the clock or at a signal count or not, `with_early`.

        It returns when all processes have read, so that the first does not write over what another still has to read.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another configuration or space, or not all processes
                see the same one.
        """
        is_there = self._load_checkpoint(with_early)
        where = [float(is_there), self.position.phase, self.position.step, self.position.health.rate_factor]
        found = self.ranks.gather(torch.tensor(where, dtype=torch.float64, device=self.ranks.device))
        if any(not torch.equal(found[0], other) for other in found):
            raise RunError(
                f"all processes must see the same last checkpoint in {self.run.checkpoints_path}; one sees another or "
                "none: keep the run in a folder that they share"
            )
        if self.ranks.is_first:
            write_jsonl(self.run.metrics_path, read_jsonl(self.run.metrics_path)[: self.position.num_rows])
        return is_there

    def _load_checkpoint(self, with_early: bool) -> bool:
        checkpoint = read_last_checkpoint(self.run.checkpoints_path, with_early=with_early)
        if checkpoint is None:
            return False
        if checkpoint.config != self.config.digest:
            raise RunError(
                f"{self.run.checkpoints_path} belongs to another configuration than config.toml; train in another --run"
            )
        require_shapes(self.run.checkpoints_path, group_of(checkpoint.tensors, "net"), self.net.state_dict())
        self.position = checkpoint.position
        self.learner.load_state(checkpoint.tensors)
        return True

    # ------------------------------------------------------------------------------------------------- one phase

    def _train_phase(self, phase: Phase, progress: ProgressCallback) -> bool:
        """Train to the end of `phase`; return at once with False where what was learnt is lost."""
        num_steps = phase.num_steps(self.config.batch_size)
        if self.position.step == 0:
            if self.position.phase == 0:
                self._move_to(phase=0, step=0)
            self.learner.begin_phase(phase)
        opened = phase.open_space(self.net.space)
        self.learner.train()
        # Idle threads of one wait by spinning, and would take the cores from the other.
        side_by_side = phase.num_subnets > 1 and self._works_side_by_side
        torch.set_num_threads(1 if side_by_side else self._num_threads)
        self._tell(self.position.step, progress)
        draws = Draws(
            steps=range(self.position.step, num_steps),
            batch_size=self.config.batch_size,
            seed=(self.config.seed, self.position.phase),
            size_at=lambda step: max(arch.resolution for arch in self._draw(phase, opened, step)[0]),
            part=self._part,
            max_shift=self.config.max_shift,
            flip=self.config.flip,
        )
        upcoming: Future[Batch] | None = None
        with self.train_images.feed(draws) as feed:
            try:
                for step in draws.steps:
                    batch = upcoming.result() if upcoming else self._make_batch(feed, phase, opened, step)
                    lessons = self.learner.begin(phase, batch)
                    # The teacher looks at the next batch on the core whose subnet is done first.
                    make_next = side_by_side and step + 1 < num_steps
                    upcoming = self._pool.submit(self._make_batch, feed, phase, opened, step + 1) if make_next else None
                    if not make_next:
                        feed.prefetch()
                    learning_rate = phase.learning_rate_at(step, num_steps) * self.position.health.rate_factor
                    loss = self.learner.finish(lessons, learning_rate, step)
                    health = self.position.health.after(loss, self._loss_of_guessing(phase))
                    self.position = dataclasses.replace(self.position, health=health)
                    if health.fault:
                        return False
                    if (step + 1) % ROWS_EVERY == 0 or step + 1 == num_steps:
                        self._note_step(phase, step + 1, loss, learning_rate)
                    self._tell(step + 1, progress)
                    self._keep(step + 1, num_steps)
            finally:
                if upcoming is not None:  # it reads from the feed, which ends here
                    wait([upcoming])
        return True

    def _tell(self, step: int, progress: ProgressCallback) -> None:
        """Tell the images of all phases, and how many are behind `step` steps of the one at hand."""
        batch_size, phases = self.config.batch_size, self.config.phases
        steps = [phase.num_steps(batch_size) for phase in phases]
        progress("train", (sum(steps[: self.position.phase]) + step) * batch_size, sum(steps) * batch_size)

    def _keep(self, step: int, num_steps: int) -> None:
        """Write the checkpoint that is due after `step` steps; all processes end after it where one was told to."""
        answer = self.ranks.gather(torch.tensor([float(self._is_told_to_stop)], device=self.ranks.device))
        is_end = any(bool(each) for each in answer)
        is_late = time.monotonic() - self._began >= self._checkpoint_seconds
        if step % self.config.checkpoint_every == 0 and step < num_steps:
            self._move_to(phase=self.position.phase, step=step)
        elif is_end or is_late:
            self._move_to(phase=self.position.phase, step=step, is_early=True)
        if is_end:
            raise KeyboardInterrupt

    def _draw(self, phase: Phase, opened: SearchSpace, step: int) -> tuple[list[ArchConfig], np.random.Generator]:
        """Return the architectures of a step, and the generator of what else it draws."""
        rng = np.random.default_rng([self.config.seed, self.position.phase, step])
        return phase.draw(opened, rng), rng

    def _make_batch(self, feed: Feed, phase: Phase, opened: SearchSpace, step: int) -> Batch:
        """Return what a step learns from, a function of its number alone."""
        archs, rng = self._draw(phase, opened, step)
        images, labels = feed.at(step, [arch.resolution for arch in archs], rng)
        return Batch(
            archs=tuple(archs),
            images=images,
            labels=labels,
            soft_labels=self.learner.soft_labels(images[max(images)]) if phase.distill_weight else None,
        )

    def _loss_of_guessing(self, phase: Phase) -> float:
        """Return the loss of equal guesses for all classes, whatever the labels are."""
        return math.log(max(2, self.net.space.num_classes)) * (1 + phase.distill_weight)

    def _end_phase(self, phase: Phase) -> None:
        self.learner.end_phase()
        judge = SubnetJudge(
            self.net,
            self.train_images,
            self.val_images,
            num_calibration_images=self.config.num_calibration_images,
            checkpoint=self.config.digest,
        )
        corners = corner_archs(self.net.space)
        judged = evaluate_all(judge, corners.values(), num_workers=self._num_threads, ranks=self.ranks)
        evals = dict(zip(corners, judged, strict=True))
        self._append(
            {
                "kind": "phase_end",
                "phase": phase.name,
                "index": self.position.phase,
                "images": phase.num_steps(self.config.batch_size) * self.config.batch_size,
                "seconds": self._seconds(),
                "evals": {
                    name: {"arch_id": result.arch.arch_id, "top1": result.top1, "mean_true_prob": result.mean_true_prob}
                    for name, result in evals.items()
                },
            }
        )
        if self.ranks.is_first:
            text = ", ".join(f"{name} {result.top1:.3f}" for name, result in evals.items())
            logger.info("%s: top-1 on the validation images: %s", phase.name, text)
        self._move_to(phase=self.position.phase + 1, step=0)

    def _roll_back(self, phase: Phase) -> None:
        """Go on from the last checkpoint at half the rate.

        Raises:
            RunError: that has been done too often.
        """
        fault = self.position.health.fault
        if self.position.health.num_rollbacks == MAX_ROLLBACKS:
            raise RunError(
                f"phase {phase.name!r}: {fault}, after {MAX_ROLLBACKS} times at half the rate; "
                "train again with a lower --learning-rate"
            )
        # When an early one was written is chance, and the same seed must give the same result.
        if not self.resume(with_early=False):
            raise RunError(
                f"phase {phase.name!r}: {fault}, and {self.run.checkpoints_path} has no checkpoint to go back to"
            )
        health = self.position.health.rolled_back()
        self.position = dataclasses.replace(self.position, health=health)
        message = f"phase {phase.name!r}: {fault}; going on from step {self.position.step} at half the learning rate"
        if self.ranks.is_first:
            logger.warning(message)
        self._append({"kind": "rollback", "phase": phase.name, "step": self.position.step, "fault": fault})
        self._move_to(phase=self.position.phase, step=self.position.step)

    # --------------------------------------------------------------------------------------------- what is written

    def _move_to(self, *, phase: int, step: int, is_early: bool = False) -> None:
        """Write a checkpoint of the position (phase, step)."""
        self.position = dataclasses.replace(self.position, phase=phase, step=step, seconds=self._seconds())
        self._began = time.monotonic()
        if self.ranks.is_first:
            self.run.require_there()
            checkpoint = Checkpoint(position=self.position, config=self.config.digest, tensors=self.learner.state())
            write_checkpoint(self.run.checkpoints_path, checkpoint, is_early=is_early)

    def _note_step(self, phase: Phase, step: int, loss: float, learning_rate: float) -> None:
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
        if self.ranks.is_first:
            append_jsonl(self.run.metrics_path, row)
        self.position = dataclasses.replace(self.position, num_rows=self.position.num_rows + 1)

    def _seconds(self) -> float:
        return round(self.position.seconds + time.monotonic() - self._began, 3)
