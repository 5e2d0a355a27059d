"""One process of several that train the tiny supernet and judge its subnets: `python -m tests.training.rank FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from ofa_hw.errors import RunError
from ofa_hw.nn import Supernet
from ofa_hw.run import RunFolder
from ofa_hw.training import TrainingConfig, progressive_shrinking, trainer
from ofa_hw.training.evaluate import SubnetJudge, evaluate_all
from ofa_hw.training.ranks import join_ranks
from ofa_hw.training.sampling import draw_distinct
from tests.training.tiny import make_images, make_space


def main(folder: Path) -> None:
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
        training = trainer.Trainer(net, config, RunFolder(folder), train=images, val=images, ranks=ranks)
        training.resume()
        ranks.wait()
        training.train(lambda *_: print("at work", flush=True))  # noqa: T201
        judge = SubnetJudge(net.eval(), images, images, num_calibration_images=64, checkpoint="c")
        archs = draw_distinct(space, 12, seed=0)
        samples = [sample.mean_true_prob for sample in evaluate_all(judge, archs, num_workers=1, ranks=ranks)]
        if ranks.is_first:
            (folder / "samples.json").write_text(json.dumps(samples))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except RunError as error:
        sys.exit(f"Error: {error}")
