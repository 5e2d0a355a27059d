"""`ofa-hw calibrate`: correct a table by whole networks on its device."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.device_options import changed, device_of, reach_options
from ofa_hw.cli.options import json_option, seed_option, table_note

NUM_PROCESSES = 5
"""Where a network's weights lie in memory changes its latency by about 1 %, at random in each process."""


@click.command()
@click.option("--lut", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The table.")
@click.option("--space", "space_name", help="The space of the networks.  [default: the table's]")
@click.option("--num-fit", type=click.IntRange(min=3), default=20, show_default=True, help="Networks to fit to.")
@click.option("--num-held-out", type=click.IntRange(min=0), default=20, show_default=True, help="Networks to judge on.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=300,
    show_default=True,
    help="Time for all networks together.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@reach_options
@json_option
@seed_option
def command(
    path: Path,
    space_name: str | None,
    num_fit: int,
    num_held_out: int,
    max_seconds: float,
    resume: bool,
    serial: str | None,
    benchmark_model: str | None,
    tune: bool | None,
    as_json: bool,
    seed: int,
) -> None:
    """Time whole networks on the table's device, and correct the table by them.

    A network's latency becomes a + b sum + c parameters + d blocks + e blocks of the largest kernel, fitted to some
    networks, judged on others. The fit and its figures are written into the table; from then on searches use them,
    with intervals.

    \b
    Example:
      ofa-hw calibrate --lut lut/host.csv
    """
    import numpy as np

    from ofa_hw.lut import LatencyTable, calibrate_table, draw_networks
    from ofa_hw.plugins import get_profiler
    from ofa_hw.profiling import Workload, measure_networks, plan_for
    from ofa_hw.run import find_space

    table = LatencyTable.read(path, uncalibrated=True)
    space = find_space(space_name or table.space)
    device = changed(device_of(table), serial=serial, benchmark_model=benchmark_model, tune=tune)
    archs = draw_networks(space, num_fit + num_held_out, np.random.default_rng(seed), resolutions=table.resolutions)
    journal = path.with_name(f"{path.name}.networks.journal")
    with show_progress() as progress:
        networks = measure_networks(
            get_profiler(device.runtime, device),
            [Workload.of_network(space, arch) for arch in archs],
            plan_for(device, max_seconds=max_seconds, num_processes=NUM_PROCESSES),
            journal=journal,
            resume=resume,
            progress=progress,
            seed=seed,
        )
    calibrated = calibrate_table(table, networks[:num_fit], networks[num_fit:])
    notes = {**table.notes, **table_note("calibrate"), "calibrated_at": max(net.measured_at for net in networks)}
    calibrated = dataclasses.replace(calibrated, notes=notes)
    calibrated.write(path)
    journal.unlink()
    show(calibrated, as_json=as_json)


def show(table: Any, *, as_json: bool) -> None:
    """Print the calibration of `table` and its figures."""
    calibration = table.calibration
    if as_json:
        print_json(dataclasses.asdict(calibration))
        return
    print_table(
        ["networks", "model", "number", "mean error", "median", "worst", "within 5 %", "tau"],
        [
            (
                figures.region,
                figures.model,
                figures.num_networks,
                f"{figures.mean_error:.2%}",
                f"{figures.median_error:.2%}",
                f"{figures.worst_error:.2%}",
                f"{figures.within_5_percent:.0%}",
                None if figures.tau is None else f"{figures.tau:.3f}",
            )
            for figures in calibration.figures
        ],
        title=f"Held-out networks of {table.space} on {table.device}",
    )
    remark(
        f"latency = {calibration.intercept_ms:.4f} ms + {calibration.scale:.4f} sum + "
        f"{calibration.ms_per_mparam:.4f} ms for a million parameters + {1e3 * calibration.ms_per_block:.3f} us for a "
        f"block + {1e3 * calibration.ms_per_large_kernel:.3f} us for one of the largest kernel, from "
        f"{calibration.num_fit} networks; "
        f"the same networks differ by {calibration.repeatability:.2%} between processes"
    )
