"""`ofa-hw demo`: the whole promise in one command."""

from __future__ import annotations

from pathlib import Path

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.options import command_line, json_option, seed_option, threads_option


@click.command()
@click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder of the run; what it holds already is not made again.",
)
@click.option("--images", type=click.IntRange(min=1), default=340_000, show_default=True, help="Images of training.")
@click.option("--samples", type=click.IntRange(min=30), default=500, show_default=True, help="Subnets to evaluate.")
@threads_option
@seed_option
@json_option
def command(run: Path, images: int, samples: int, threads: int | None, seed: int, as_json: bool) -> None:
    """Run the whole pipeline on built-in images, in minutes.

    A supernet is trained by progressive shrinking, its blocks are timed on this machine, a predictor and the table are
    searched, five networks of the front are fine-tuned, exported, run and timed, and a report tells it all. Interrupt
    it at any time: the same command goes on.

    \b
    Example:
      ofa-hw demo --run runs/demo
    """
    from ofa_hw.demo import DemoConfig, run_demo
    from ofa_hw.report import figures_of
    from ofa_hw.report.job_summary import told_value
    from ofa_hw.report.run_benchmark import benchmark_of
    from ofa_hw.training import prepare_cpu

    num_workers = prepare_cpu(threads)
    config = DemoConfig(num_images=images, num_samples=samples, num_workers=num_workers, seed=seed)
    with show_progress() as progress:
        results = run_demo(run, config, command=command_line(), progress=progress)
    if as_json:
        print_json(benchmark_of(results))
        return
    print_facts([(figure.title, told_value(figure)) for figure in figures_of(results)], title=f"{run}")
    remark(f"open {run / 'report.html'}; the networks are in {run / 'exported'}, the table is {run / 'lut'}")
