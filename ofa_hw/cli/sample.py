"""`ofa-hw sample`: what the predictor learns from."""

from __future__ import annotations

from pathlib import Path

import click

from ofa_hw.cli.console import print_json, remark, show_progress
from ofa_hw.cli.options import json_option, run_option, seed_option, threads_option


@click.command()
@run_option
@click.option("--num", type=click.IntRange(min=1), default=300, show_default=True, help="Subnets to have in all.")
@threads_option
@seed_option
@json_option
def command(run: Path | None, num: int, threads: int | None, seed: int, as_json: bool) -> None:
    """Evaluate random subnets of the trained supernet.

    Each is judged on the validation images, its batch norm re-estimated. What is evaluated already counts and stays, so
    an interrupted call is simply made again. Under torchrun several processes share the work.

    \b
    Example:
      ofa-hw sample --num 300
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.training import prepare_cpu, sample_run
    from ofa_hw.training.ranks import join_ranks

    folder = RunFolder.open(run)
    num_workers = prepare_cpu(threads)
    with join_ranks() as ranks, show_progress(quiet=not ranks.is_first) as progress:
        samples = sample_run(folder, num, seed=seed, num_workers=num_workers, ranks=ranks, progress=progress)
    if not ranks.is_first:
        return
    top1s = sorted(sample.top1 for sample in samples)
    if as_json:
        print_json({"run": str(folder.path), "num_samples": len(samples), "min_top1": top1s[0], "max_top1": top1s[-1]})
        return
    click.echo(f"{len(samples)} subnets, top-1 {top1s[0]:.3f} to {top1s[-1]:.3f}, in {folder.samples_path}")
    remark(f"next: ofa-hw fit --run {folder.path}")
