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
    default="auto",
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
@click.option(
    "--samples",
    "samples_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of top-1 that others measured: ks, e, d (dashes between), r, top1; or arch (JSON), top1.",
)
@click.option("--space", "space_name", help="With --samples: name of the space, a .toml file, or a run's folder.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the predictor.  [default: the run's; with --space predictors/SPACE]",
)
@click.option("--learning-curve", "with_curve", is_flag=True, help="Tell how much more subnets would help.")
@seed_option
@json_option
def command(
    run: Path | None,
    model: str,
    score: str,
    samples_file: Path | None,
    space_name: str | None,
    out: Path | None,
    with_curve: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Fit the accuracy predictor to the evaluated subnets, or to what others measured.

    Its figures are those of held-out subnets, by tenfold cross-validation; held_out.csv in its folder has each of them.
    With --samples and --space no run is needed: what was measured elsewhere becomes a predictor that search takes.

    \b
    Examples:
      ofa-hw fit --model mlp
      ofa-hw fit --samples measured.csv --space ofa-mobilenetv3-w1.0 --out predictors/mine
    """
    from ofa_hw.predictor import AccuracyPredictor, learning_curve, read_measured_top1, read_samples
    from ofa_hw.run import RunFolder, find_space
    from ofa_hw.search.tables import find_tables, profile_command

    if space_name and (run or not samples_file):
        raise click.UsageError("--space is for --samples, without --run")
    if samples_file and score not in ("auto", "top1"):
        raise click.UsageError("--samples have top-1 alone: leave --score out")
    folder = None if space_name else RunFolder.open(run)
    space = folder.space if folder else find_space(space_name or "")
    out = out or (folder.predictor_path if folder else Path("predictors") / space.name)
    with show_progress() as progress:
        if samples_file:
            archs, top1 = read_measured_top1(samples_file, space)
            predictor = AccuracyPredictor.fit(space, archs, top1, model=model, seed=seed, progress=progress)
        else:
            assert folder is not None, "without samples there is no space of its own"
            samples = read_samples(folder.require(folder.samples_path, "ofa-hw sample"))
            predictor = AccuracyPredictor.fit_samples(
                space, samples, model=model, score=score, seed=seed, progress=progress
            )
        curve = learning_curve(predictor, progress=progress) if with_curve else None
    predictor.save(out, curve=curve)
    figures = predictor.figures
    if as_json:
        of_run = {"run": str(folder.path)} if folder else {"space": space.name}
        facts = {**of_run, "predictor": str(out), "model": predictor.model_name, "score": predictor.score}
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
        title=f"{predictor.model_name}, in {out}",
    )
    if curve is not None:
        _show_curve(curve, figures.num_samples)
    luts = [word for lut in (find_tables(folder) if folder else ()) for word in ("--lut", lut)]
    own = () if folder and out == folder.predictor_path else ("--predictor", out)
    if folder and not luts:
        remark(f"next: {profile_command(folder)}")
        return
    where = (
        ("--run", folder.path, *luts)
        if folder
        else ("--space", space_name, "--objective", "top1", "--objective", "macs")
    )
    remark(f"next: {told_command('search', *where, *own)}")


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
