"""`ofa-hw sample`: what the predictor learns from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_hw.cli.console import echo, print_json, remark, show_progress
from ofa_hw.cli.options import cache_option, json_option, run_option, seed_option, threads_option

if TYPE_CHECKING:
    from ofa_hw.run import RunFolder
    from ofa_hw.space import ArchConfig


@click.command()
@run_option
@click.option("--num", type=click.IntRange(min=1), default=300, show_default=True, help="Subnets to have in all.")
@click.option("--active", is_flag=True, help="Those next to the front of which the predictor is least certain.")
@cache_option
@threads_option
@seed_option
@json_option
def command(
    run: Path | None, num: int, active: bool, cache_bytes: int | None, threads: int | None, seed: int, as_json: bool
) -> None:
    """Evaluate subnets of the trained supernet, random ones or those that the predictor needs most.

    Each is judged on the validation images, its batch norm re-estimated. What is evaluated already counts and stays, so
    an interrupted call is simply made again. Under torchrun several processes share the work.

    With --active, after `fit` and `search`, they are those on the front and around it of which the predictor is least
    certain; the predictor stays as it is until `fit` is called again.

    \b
    Examples:
      ofa-hw sample --num 300
      ofa-hw sample --active --num 350
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.training import prepare_cpu, sample_run
    from ofa_hw.training.ranks import join_ranks

    folder = RunFolder.open(run)
    archs = _uncertain(folder, num) if active else None
    num_workers = prepare_cpu(threads)
    with join_ranks() as ranks, show_progress(quiet=not ranks.is_first) as progress:
        samples = sample_run(
            folder,
            num,
            archs=archs,
            seed=seed,
            num_workers=num_workers,
            cache_bytes=cache_bytes,
            ranks=ranks,
            progress=progress,
        )
    if not ranks.is_first:
        return
    top1s = sorted(sample.top1 for sample in samples)
    if as_json:
        print_json({"run": str(folder.path), "num_samples": len(samples), "min_top1": top1s[0], "max_top1": top1s[-1]})
        return
    echo(f"{len(samples)} subnets, top-1 {top1s[0]:.3f} to {top1s[-1]:.3f}, in {folder.samples_path}")
    remark(f"next: ofa-hw fit --run {folder.path}")


def _uncertain(folder: RunFolder, num: int) -> list[ArchConfig]:
    from ofa_hw.predictor import AccuracyPredictor, read_samples
    from ofa_hw.search import ParetoFront
    from ofa_hw.search.active import uncertain_archs

    predictor = AccuracyPredictor.load(folder.require(folder.predictor_path, "ofa-hw fit"))
    front = ParetoFront.read(folder.require(folder.front_path, "ofa-hw search"), folder.space).archs
    known = [sample.arch for sample in read_samples(folder.samples_path)]
    if num <= len(known):
        raise click.BadParameter(f"{len(known)} subnets are evaluated already; came {num}", param_hint="--num")
    return uncertain_archs(predictor, front, num - len(known), known=known)
