"""`ofa-hw fit`: the accuracy predictor."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import json_option, run_option, seed_option


@click.command()
@run_option
@click.option(
    "--model",
    type=click.Choice(["mlp", "gbdt", "ridge", "auto"]),
    default="mlp",
    show_default=True,
    help="What to fit; auto takes the one that ranks held-out subnets best.",
)
@click.option(
    "--score",
    type=click.Choice(["auto", "top1", "mean_true_prob", "mean_log_likelihood"]),
    default="auto",
    show_default=True,
    help="The score to learn; soft ones rank better and are mapped to top-1.",
)
@seed_option
@json_option
def command(run: Path | None, model: str, score: str, seed: int, as_json: bool) -> None:
    """Fit the accuracy predictor to the evaluated subnets.

    Its figures are those of held-out subnets, by tenfold cross-validation.

    \b
    Example:
      ofa-hw fit --model mlp
    """
    from ofa_hw.predictor import AccuracyPredictor, read_samples
    from ofa_hw.run import RunFolder

    folder = RunFolder.open(run)
    samples = read_samples(folder.require(folder.samples_path, "ofa-hw sample"))
    with show_progress() as progress:
        predictor = AccuracyPredictor.fit_samples(
            folder.space, samples, model=model, score=score, seed=seed, on_progress=progress
        )
    predictor.save(folder.predictor_path)
    figures = predictor.figures
    if as_json:
        facts = {"run": str(folder.path), "model": predictor.model_name, "score": predictor.score}
        print_json({**facts, **dataclasses.asdict(figures)})
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
    remark(f"next: ofa-hw search --run {folder.path} --lut lut/host.csv")
