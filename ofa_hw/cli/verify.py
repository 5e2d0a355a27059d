"""`ofa-hw verify`: the front's networks for real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_hw.cli.console import echo, print_json, print_table, remark, show_progress
from ofa_hw.cli.device_options import device_of
from ofa_hw.cli.options import (
    PICK_HELP,
    cache_option,
    json_option,
    run_option,
    seed_option,
    threads_option,
    told_command,
)

if TYPE_CHECKING:
    from ofa_hw.deploy import Verification


@click.command()
@run_option
@click.option(
    "--lut",
    "luts",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="The table; given again, further devices, one after the other.  [default: those that were searched with]",
)
@click.option("--pick", "picks", metavar="ID|NUMBER", multiple=True, help=f"{PICK_HELP}  [default: --num along it]")
@click.option("--num", type=click.IntRange(min=1), default=5, show_default=True, help="Networks along the front.")
@click.option("--num-random", type=click.IntRange(min=0), default=20, show_default=True, help="Other networks to time.")
@click.option(
    "--finetune-images",
    type=click.IntRange(min=0),
    default=30_000,
    show_default=True,
    help="Images of fine-tuning for each network; 0: none.",
)
@click.option(
    "--max-seconds", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True, help="Time for timing."
)
@cache_option
@threads_option
@seed_option
@json_option
def command(
    run: Path | None,
    luts: tuple[Path, ...],
    picks: tuple[str, ...],
    num: int,
    num_random: int,
    finetune_images: int,
    max_seconds: float,
    cache_bytes: int | None,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Evaluate and time the front's networks for real.

    They are extracted, fine-tuned, scored on the validation and test images, exported in the format and of the numbers
    that the table is of (ONNX for onnxruntime, int8 for int8) and timed whole on its device, with random ones beside
    them: what was predicted stands beside what was measured. After an interrupt the same command goes on.

    \b
    Example:
      ofa-hw verify --lut lut/host.csv
      ofa-hw verify --pick 98a78f --finetune-images 60000
    """
    from ofa_hw.deploy import pick_along, predict, verify_run
    from ofa_hw.lut import LatencyTable
    from ofa_hw.plugins import get_profiler
    from ofa_hw.profiling import plan_for
    from ofa_hw.run import RunFolder
    from ofa_hw.search import ParetoFront
    from ofa_hw.search.chosen import find_network
    from ofa_hw.search.tables import require_tables
    from ofa_hw.training import prepare_cpu
    from ofa_hw.training.runs import finetune_config

    folder = RunFolder.open(run)
    luts = luts or tuple(require_tables(folder))
    tables = [LatencyTable.read(lut) for lut in luts]
    num_workers = prepare_cpu(threads)
    if picks:
        archs = list(dict.fromkeys(find_network(folder, pick) for pick in picks))
    else:
        search = told_command("search", "--lut", luts[0])
        archs = list(ParetoFront.read(folder.require(folder.front_path, search), folder.space).archs)
    verifications = []
    for table in tables:
        device, predictions = device_of(table), predict(folder, archs, table)
        with show_progress() as progress:
            verification = verify_run(
                folder,
                predictions if picks else pick_along(predictions, num),
                table,
                get_profiler(device.runtime, device),
                num_random=num_random,
                tuning=(finetune_config(folder, num_images=finetune_images) if finetune_images else None),
                plan=plan_for(device, max_seconds=max_seconds),
                num_workers=num_workers,
                cache_bytes=cache_bytes,
                seed=seed,
                progress=progress,
            )
        verifications.append(verification)
        if not as_json:
            show(verification)
    if as_json:
        lines = [verification.to_dict() for verification in verifications]
        print_json(lines[0] if len(lines) == 1 else {"devices": lines})
    else:
        given = [word for lut in luts for word in ("--lut", lut)]
        remark(f"next: {told_command('report', '--run', folder.path, *given)}")


def show(verification: Verification) -> None:
    """Print the networks, each promise beside what was measured, and the errors."""
    print_table(
        (
            "network",
            "top-1 predicted",
            "validation",
            "test",
            "test, fine-tuned",
            "test, file",
            "latency predicted, ms",
            "measured, ms",
            "measured − predicted",
        ),
        [
            (
                net.arch_id,
                f"{net.predicted_top1:.3f}",
                f"{net.val_top1:.3f}",
                f"{net.test_top1_before:.3f}",
                f"{net.test_top1:.3f}",
                f"{net.exported_test_top1:.3f}",
                f"{net.predicted_latency_ms:.4f}",
                f"{net.measured_latency_ms:.4f}",
                f"{net.measured_latency_ms / net.predicted_latency_ms - 1:+.1%}",
            )
            for net in verification.nets
        ],
        title=f"on {verification.nets[0].device}",
    )
    figures, first = verification.figures, verification.nets[0]
    timed = "the files themselves were timed" if first.is_file_timed else "timed as the device's profiler builds them"
    echo(f"exported as {first.exported_format}; {timed}")
    echo(
        f"{len(verification.whole_nets)} whole networks: latency off by {figures['latency_median_error']:.1%} in the "
        f"median, {figures['latency_worst_error']:.1%} at worst"
    )
    echo(
        f"top-1 off by {figures['top1_mean_error_points']:.2f} points in the mean; fine-tuning gained "
        f"{figures['finetuning_mean_gain_points']:+.2f} points"
    )
