"""`ofa-hw fit`: the accuracy predictor."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_hw.cli.console import print_facts, print_json, print_table, remark, show_progress
from ofa_hw.cli.options import json_option, run_option, seed_option, told_command
from ofa_hw.cli.words import OneOf

if TYPE_CHECKING:
    from ofa_hw.predictor import LearningCurve


@click.command()
@run_option
@click.option(
    "--model",
    type=OneOf(["mlp", "gbdt", "ridge", "auto"]),
    default="mlp",
    show_default=True,
    help="What to fit; auto takes the one that ranks held-out subnets best.",
)
@click.option(
    "--score",
    type=OneOf(["auto", "top1", "mean_true_prob", "mean_log_likelihood"]),
    default="auto",
    show_default=True,
    help="The score to learn; soft ones rank better and are mapped to top-1.",
)
@click.option("--learning-curve", "with_curve", is_flag=True, help="Tell how much more subnets would help.")
@seed_option
@json_option
def command(run: Path | None, model: str, score: str, with_curve: bool, seed: int, as_json: bool) -> None:
    """Fit the accuracy predictor to the evaluated subnets.

    Its figures are those of held-out subnets, by tenfold cross-validation; held_out.csv in its folder has each of them.

    \b
    Example:
      ofa-hw fit --model mlp
    """
    from ofa_hw.predictor import AccuracyPredictor, learning_curve, read_samples
    from ofa_hw.run import RunFolder
    from ofa_hw.search.tables import find_tables, profile_command

    folder = RunFolder.open(run)
    samples = read_samples(folder.require(folder.samples_path, "ofa-hw sample"))
    with show_progress() as progress:
        predictor = AccuracyPredictor.fit_samples(
            folder.space, samples, model=model, score=score, seed=seed, on_progress=progress
        )
        curve = learning_curve(predictor, on_progress=progress) if with_curve else None
    predictor.save(folder.predictor_path, curve=curve)
    figures = predictor.figures
    if as_json:
        facts = {"run": str(folder.path), "model": predictor.model_name, "score": predictor.score}
        of_curve = {} if curve is None else {"learning_curve": [dataclasses.asdict(point) for point in curve.points]}
        print_json({**facts, **dataclasses.asdict(figures), **of_curve})
        return
    print_facts(
        [
            ("fitted to", f"{predictor.score} of {figures.num_samples} subnets"),
            ("Kendall tau, held out", f"{figures.kendall_tau:.3f}"),
            ("Spearman rho, held out", f"{figures.spearman_rho:.3f}"),
            ("RMSE of top-1, points", f"{100 * figures.top1_rmse:.2f}"),
            ("Kendall tau with measured top-1", f"{figures.top1_kendall_tau:.3f}"),
            ("90 % intervals hold", f"{100 * figures.coverage_90:.1f} %"),
        ],
        title=f"{predictor.model_name}, in {folder.predictor_path}",
    )
    if curve is not None:
        _show_curve(curve, figures.num_samples)
    luts = [word for lut in find_tables(folder) for word in ("--lut", lut)]
    remark(f"next: {told_command('search', '--run', folder.path, *luts) if luts else profile_command(folder)}")


def _show_curve(curve: LearningCurve, num_samples: int) -> None:
    """Print the curve, then what twice the samples can be expected to bring."""
    print_table(
        ("subnets", "Kendall tau with measured top-1", "RMSE of top-1, points"),
        [(point.num_samples, f"{point.kendall_tau:.3f}", f"{point.rmse_points:.2f}") for point in curve.points],
        title="learning curve, on held-out subnets",
    )
    now, doubled = curve.rmse_points(num_samples), curve.rmse_points(2 * num_samples)
    remark(
        f"by this curve {2 * num_samples} subnets instead of {num_samples} lower the RMSE from {now:.2f} to "
        f"{doubled:.2f} points, and no number below {math.sqrt(curve.floor):.2f}"
    )
