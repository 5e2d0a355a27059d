"""How well the predictor of a run ranks subnets by top-1 on images that nobody has seen.

The demo judges subnets on 800 validation images, whose noise is as large as the differences between subnets. The judge
here is the whole test set of Fashion-MNIST, 10,000 images (Debian's package dataset-fashion-mnist).

    python -m benchmarks.ranking --run runs/demo
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from scipy.stats import kendalltau

from benchmarks.note import write_note
from ofa_hw.cli.console import show_progress
from ofa_hw.files import sha256_of
from ofa_hw.images import load_dataset
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.run import RunFolder
from ofa_hw.training import load_supernet, open_images, prepare_cpu
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.evaluate import SubnetJudge, evaluate_all
from ofa_hw.training.sampling import draw_distinct

COLUMNS = ("figure", "value")


@click.command()
@click.option("--run", type=click.Path(path_type=Path), help="The run.  [default: the last]")
@click.option("--data", default="/usr/share/datasets/fashion-mnist", show_default=True, help="Folder of the IDX files.")
@click.option("--num", default=100, show_default=True, help="Random subnets, none of them seen by the predictor.")
def main(run: Path | None, data: str, num: int) -> None:
    """Print Kendall's tau of predictions and of measured validation scores against top-1 on 10,000 images."""
    folder = RunFolder.open(run)
    num_workers = prepare_cpu()
    net, images = load_supernet(folder), open_images(folder)
    whole = load_dataset(data, in_channels=folder.space.in_channels, image_size=folder.space.resolutions[-1])
    unseen = ImageBatches(whole.test, mean=images.train.mean, std=images.train.std)
    judge = SubnetJudge(
        net, images.train, unseen, num_calibration_images=1000, checkpoint=sha256_of(folder.supernet_path)
    )
    on_val = SubnetJudge(net, images.train, images.val, num_calibration_images=1000, checkpoint=judge.checkpoint)
    predictor = AccuracyPredictor.load(folder.predictor_path)
    archs = draw_distinct(folder.space, num, seed=10_000)
    with show_progress() as progress:
        truth, val = [], []
        for index, (far, near) in enumerate(
            zip(
                evaluate_all(judge, archs, num_workers=num_workers),
                evaluate_all(on_val, archs, num_workers=num_workers),
                strict=True,
            )
        ):
            truth.append(far)
            val.append(near)
            progress("evaluate on 10,000 images", index + 1, num)
    top1 = np.array([sample.top1 for sample in truth])
    predicted, _ = predictor.predict(folder.space.encode(archs))
    rows = [
        ("subnets, top-1 on 10,000 images, mean and standard deviation", f"{top1.mean():.4f}, {top1.std():.4f}"),
        ("tau of predicted top-1", f"{kendalltau(predicted, top1).statistic:.3f}"),
        ("tau of measured top-1 on the validation images", f"{kendalltau([s.top1 for s in val], top1).statistic:.3f}"),
        (
            "tau of measured mean true probability on the validation images",
            f"{kendalltau([s.mean_true_prob for s in val], top1).statistic:.3f}",
        ),
    ]
    write_note("ranking", __doc__, COLUMNS, rows)


if __name__ == "__main__":
    main()
