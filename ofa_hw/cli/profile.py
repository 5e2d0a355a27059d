"""`ofa-hw profile`: measure every block of a space on a device."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from ofa_hw.cli.console import print_facts, print_json, remark, show_progress
from ofa_hw.cli.device_options import changed, reach_options
from ofa_hw.cli.options import json_option, seed_option, table_note, told_command


class Sizes(click.ParamType[tuple[int, ...]]):
    """Input sizes in pixels, such as 128,160."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers of the list."""
        try:
            return tuple(int(size) for size in str(value).split(","))
        except ValueError:
            self.fail(f"must be sizes in pixels such as 128,160; came {value!r}", param, ctx)


@click.command()
@click.option("--device", "device_name", default="host", show_default=True, help="A device of `ofa-hw devices`.")
@click.option(
    "--space", "space_name", default="fashion", show_default=True, help="A space by name, a .toml file, or a run."
)
@click.option("--resolutions", type=Sizes(), help="Input sizes, such as 128,160.  [default: all of the space]")
@click.option("--runtime", help="Another runtime than the device's own.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The table.  [default: lut/DEVICE.csv]")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime.  [default: the device's]")
@click.option("--cpu-mask", help="Cores to run on, hexadecimal: 0x2 is core 1.  [default: the device's, else the last]")
@click.option("--dtype", help="float32 or int8, float16 and bfloat16 on a GPU.  [default: the device's]")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at once.  [default: the device's]")
@click.option(
    "--target-ci",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    help="Half width of the 95 % interval, as a fraction, at which a block is known well enough.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=600,
    show_default=True,
    help="Time for all blocks together, opening and checking them too.",
)
@reach_options
@json_option
@seed_option
def command(
    device_name: str,
    space_name: str,
    resolutions: tuple[int, ...] | None,
    runtime: str | None,
    out: Path | None,
    resume: bool,
    threads: int | None,
    cpu_mask: str | None,
    dtype: str | None,
    batch_size: int | None,
    target_ci: float,
    max_seconds: float,
    serial: str | None,
    benchmark_model: str | None,
    tune: bool | None,
    as_json: bool,
    seed: int,
) -> None:
    """Measure every block of a space on a device, and write its latency table.

    Blocks are timed in interleaved random rounds, in three fresh processes, until the interval of each median is
    narrow enough. Every round is kept in a journal beside the table, so that an interrupted run goes on with --resume.

    \b
    Example:
      ofa-hw profile --device host --space fashion --out lut/host.csv
    """
    from ofa_hw.blocks import unique_block_specs
    from ofa_hw.lut import LatencyTable
    from ofa_hw.plugins import find_device, get_profiler
    from ofa_hw.profiling import measure, plan_for
    from ofa_hw.run import find_space

    device = changed(
        find_device(device_name),
        runtime=runtime,
        num_threads=threads,
        cpu_mask=cpu_mask,
        dtype=dtype,
        batch_size=batch_size,
        serial=serial,
        benchmark_model=benchmark_model,
        tune=tune,
    )
    space = find_space(space_name)
    out = out or Path("lut") / f"{device.name}.csv"
    journal = out.with_name(f"{out.name}.journal")
    if _is_calibrated(out):
        again = told_command("calibrate", "--lut", out)
        remark(f"{out} is calibrated, and the new table will not be: calibrate it anew with {again}")
    profiler = get_profiler(device.runtime, device)
    specs = unique_block_specs(space, resolutions)
    with show_progress() as progress:
        run = measure(
            profiler,
            specs,
            plan_for(device, target_relative_ci=target_ci, max_seconds=max_seconds),
            journal=journal,
            resume=resume,
            progress=progress,
            seed=seed,
        )
    table = LatencyTable(space=space.name, measurements=run.blocks, notes=run.notes | table_note("profile"))
    table.write(out)
    journal.unlink()
    for warning in run.warnings():
        remark(warning)
    facts = {"table": str(out), "blocks": len(run.blocks), **run.notes}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items(), title=f"{space.name} on {device.name}")


def _is_calibrated(path: Path) -> bool:
    """Return whether a table stands there that is calibrated; one that cannot be read has nothing to lose."""
    from ofa_hw.errors import OfaHwError
    from ofa_hw.lut import LatencyTable

    with contextlib.suppress(OfaHwError, OSError):
        return LatencyTable.read(path).calibration is not None
    return False
