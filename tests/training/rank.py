"""One process of several that train the tiny supernet and judge its subnets.

`python -m tests.training.rank FOLDER [rollback]`
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ofa_hw.errors import RunError
from ofa_hw.nn import Supernet
from ofa_hw.training import TrainingConfig, progressive_shrinking, trainer
from ofa_hw.training.evaluate import SubnetJudge, evaluate_all
from ofa_hw.training.ranks import join_ranks
from ofa_hw.training.sampling import draw_distinct
from tests.training.tiny import make_images, make_run, make_space


def lose_a_step(training: trainer.Trainer) -> None:
    """Make one step's loss NaN in every process; all but the first are late to read the checkpoint after it."""
    finish, read = training.learner.finish, trainer.read_last_checkpoint

    def finish_or_lose(lessons: Any, learning_rate: float, step: int) -> float:
        loss = finish(lessons, learning_rate, step)
        return math.nan if step == 7 and training.position.health.num_rollbacks == 0 else loss

    def read_late(path: Path, **options: bool) -> trainer.Checkpoint | None:
        if not training.ranks.is_first:
            time.sleep(2)
        return read(path, **options)

    training.learner.finish = finish_or_lose  # type: ignore[method-assign]
    trainer.read_last_checkpoint = read_late


def main(folder: Path, mode: str = "") -> None:
    torch.set_num_threads(1)
    trainer.ROWS_EVERY = 1
    space, images = make_space(), make_images()
    config = TrainingConfig(
        phases=progressive_shrinking(space, num_images=320, learning_rate=0.05),
        batch_size=16,
        num_calibration_images=64,
        checkpoint_every=5,
    )
    with join_ranks() as ranks:
        net = Supernet(space, generator=torch.Generator().manual_seed(0))
        training = trainer.Trainer(net, config, make_run(folder), train=images, val=images, ranks=ranks)
        training.resume()
        if mode == "rollback":
            lose_a_step(training)
        training.train(lambda *_: print("at work", flush=True))  # noqa: T201
        (folder / f"health-{ranks.rank}.json").write_text(json.dumps(dataclasses.asdict(training.position.health)))
        judge = SubnetJudge(net.eval(), images, images, num_calibration_images=64, checkpoint="c")
        archs = draw_distinct(space, 12, seed=0)
        samples = [sample.mean_true_prob for sample in evaluate_all(judge, archs, num_workers=1, ranks=ranks)]
        if ranks.is_first:
            (folder / "samples.json").write_text(json.dumps(samples))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except RunError as error:
        sys.exit(f"Error: {error}")
