"""`ofa-hw runs`: each run, how far it is, and its best networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ofa_hw.cli.console import print_json, print_table, remark, told_ms
from ofa_hw.cli.options import json_option

if TYPE_CHECKING:
    from ofa_hw.status import RunStatus


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the runs below runs/: how far each is, and its best networks.

    The last one is what other commands take where --run is not given.

    \b
    Example:
      ofa-hw runs
    """
    from ofa_hw.status import list_runs

    runs = list_runs()
    if as_json:
        print_json([run.to_dict() for run in runs])
        return
    if not runs:
        remark("there is no run below runs/ yet; next: ofa-hw demo")
        return
    columns = ("run", "space", "trained", "subnets", "predictor", "front", "verified", "exported")
    print_table(columns, [_row(run) for run in runs])
    best = [
        (str(run.path), net.arch_id, f"{net.top1:.1%}", net.source, net.latency_ms and told_ms(net.latency_ms))
        for run in runs
        for net in run.best
    ]
    if best:
        print_table(("run", "network", "top-1", "which is", "latency"), best, title="The best networks")
    for run in runs:
        if run.fault:
            remark(f"{run.path}: {run.fault}")
    remark(f"next: {runs[-1].next_command}")


def _row(run: RunStatus) -> tuple[object, ...]:
    if run.num_images_in_all is None:
        trained = "imported" if run.is_trained else None
    else:
        trained = "yes" if run.is_trained else f"{run.num_images:,} of {run.num_images_in_all:,} images"
    counts = (run.num_front, run.num_verified, run.num_exported)
    return (str(run.path), run.space, trained, run.num_samples or None, run.predictor, *(num or None for num in counts))
