"""How far the tables and their calibration can be trusted, and what they cost.

    python -m benchmarks.measurement calibration --device host       calibrated from 20 networks, judged on 160 unseen
    python -m benchmarks.measurement speed                           every block at five resolutions, within 1 %
    python -m benchmarks.measurement models [--litert-torch PYTHON]  writing a block's model, against the converter
    python -m benchmarks.measurement repeat --first lut/TABLE.csv    the same table again, an hour later
    python -m benchmarks.measurement contention                      a second process keeps the core busy
    python -m benchmarks.measurement kill                            killed at ten random moments, and resumed

Each writes a dated note below results/. Nothing else may run on the machine, but for what `contention` starts itself.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.note import write_note
from ofa_hw.blocks import BlockSpec, unique_block_specs
from ofa_hw.cli.console import remark, show_progress
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.lut import LatencyTable, calibrate_table, compare_tables, draw_networks
from ofa_hw.plugins import find_device, get_profiler
from ofa_hw.profiling import Measurement, Workload, measure, plan_for
from ofa_hw.space import ArchConfig, SearchSpace, get_space

FIVE_RESOLUTIONS = (128, 160, 192, 208, 224)
TWO_RESOLUTIONS = (128, 160)
NUM_FIT = 20
NUM_UNSEEN = 80

_SPACE = click.option("--space", "space_name", default="ofa-mobilenetv3-w1.0", show_default=True)
_DEVICE = click.option("--device", "device_name", default="host", show_default=True)


@click.group()
def main() -> None:
    """Measure how well we measure."""


def sizes_of(space: SearchSpace, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return those of `sizes` that the space has, or all of its own where it has none."""
    return tuple(size for size in sizes if size in space.resolutions) or space.resolutions


def draw_region(
    space: SearchSpace, sizes: Sequence[int], num: int, *, largest_kernel: bool, seed: int
) -> list[ArchConfig]:
    """Return `num` uniform architectures at `sizes`, with or without the largest kernel size."""
    rng = np.random.default_rng(seed)
    found: dict[ArchConfig, None] = {}
    while len(found) < num:
        genes = space.sample_genes(1, rng)
        if not largest_kernel:
            kernels = space.columns["kernel_size"]
            genes[:, kernels] = rng.integers(0, len(space.kernel_sizes) - 1, genes[:, kernels].shape)
        genes[0, 0] = space.resolutions.index(sizes[len(found) % len(sizes)])
        found.setdefault(space.decode(space.canonical(genes))[0])
    return list(found)


@main.command()
@_DEVICE
@_SPACE
@click.option("--max-seconds", default=300.0, show_default=True)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep the table and the networks' journal in this folder."
)
def calibration(device_name: str, space_name: str, max_seconds: float, keep: Path | None) -> None:
    """A table calibrated from 20 networks, judged on 80 mixed ones and 80 without the largest kernel.

    As `ofa-hw calibrate` does, 20 more networks widen the intervals, and change nothing else.
    """
    space, device = get_space(space_name), find_device(device_name)
    sizes = sizes_of(space, TWO_RESOLUTIONS)
    drawn = draw_networks(space, 2 * NUM_FIT, np.random.default_rng(0), resolutions=sizes)
    regions = {
        "mixed": draw_region(space, sizes, NUM_UNSEEN, largest_kernel=True, seed=1),
        f"k<={space.kernel_sizes[-2]}": draw_region(space, sizes, NUM_UNSEEN, largest_kernel=False, seed=2),
    }
    unseen = {arch: None for archs in regions.values() for arch in archs if arch not in drawn}
    folder = keep or Path(tempfile.mkdtemp(prefix="ofa-hw-"))
    with show_progress() as progress:
        run = measure(
            get_profiler(device.runtime, device),
            unique_block_specs(space, sizes),
            plan_for(device, max_seconds=max_seconds, num_processes=5),
            networks=[Workload.of_network(space, arch) for arch in (*drawn, *unseen)],
            journal=folder / "calibration.journal",
            resume=keep is not None,
            progress=progress,
        )
    table = LatencyTable(space=space.name, measurements=run.blocks, notes=run.notes)
    networks = {network.name: network for network in run.networks}
    known = [networks[arch.arch_id] for arch in drawn]
    shipped = calibrate_table(table, known[:NUM_FIT], known[NUM_FIT:])
    rows = []
    for region, archs in regions.items():
        fresh = [arch for arch in archs if arch not in drawn]
        held_out = [networks[arch.arch_id] for arch in fresh]
        calibrated = calibrate_table(table, known[:NUM_FIT], held_out).calibration
        assert calibrated is not None
        low, high = shipped.interval_ms(space, space.encode(fresh))
        measured = np.array([network.median_ms for network in held_out])
        inside = float(((low <= measured) & (measured <= high)).mean())
        for figures in calibrated.figures:
            if figures.region == "all":
                rows.append(
                    (
                        region,
                        figures.model,
                        figures.num_networks,
                        f"{figures.mean_error:.2%}",
                        f"{figures.within_5_percent:.0%}",
                        f"{figures.worst_error:.2%}",
                        f"{figures.tau:.3f}",
                        f"{inside:.2f}" if figures.model == "full" else "",
                        f"{calibrated.repeatability:.2%}",
                    )
                )
    columns = ("networks", "model", "number", "MAPE", "within 5 %", "worst", "tau", "90 % covers", "repeatability")
    write_note(f"calibration-{space.name}-{device_name}", f"{_text(calibration)} {_quiet(run.notes)}", columns, rows)
    for warning in run.warnings():
        remark(warning)


@main.command()
@_DEVICE
@_SPACE
@click.option("--out", type=click.Path(path_type=Path), help="Keep the table.")
def speed(device_name: str, space_name: str, out: Path | None) -> None:
    """Every block at five resolutions, three processes, intervals of 1 %: how long it takes from start to table."""
    space = get_space(space_name)
    begin = time.monotonic()
    blocks, notes = _profile(space, sizes_of(space, FIVE_RESOLUTIONS), device_name)
    seconds = time.monotonic() - begin
    precise = sum(row.relative_ci <= 0.01 for row in blocks)
    if out is not None:
        LatencyTable(space=space.name, measurements=blocks, notes=notes).write(out)
    spreads = [row.process_spread or 0.0 for row in blocks]
    columns = ("blocks", "seconds", "within 1 %", "median runs", "median spread of processes", "worst")
    rows = [
        (
            len(blocks),
            f"{seconds:.0f}",
            precise,
            int(np.median([row.num_runs for row in blocks])),
            f"{np.median(spreads):.2%}",
            f"{max(spreads):.2%}",
        )
    ]
    write_note(f"speed-{space.name}-{device_name}", f"{speed.help} {_quiet(notes)}", columns, rows)


def _profile(
    space: SearchSpace, sizes: tuple[int, ...], device_name: str
) -> tuple[tuple[Measurement, ...], dict[str, str]]:
    device = find_device(device_name)
    with show_progress() as progress:
        run = measure(
            get_profiler(device.runtime, device),
            unique_block_specs(space, sizes),
            plan_for(device, max_seconds=600),
            progress=progress,
        )
    for warning in run.warnings():
        remark(warning)
    return run.blocks, run.notes


@main.command()
@_SPACE
@click.option("--litert-torch", type=click.Path(exists=True), help="A Python that has litert-torch, to compare with.")
def models(space_name: str, litert_torch: str | None) -> None:
    """Writing the TFLite model of a block, median over blocks, against litert-torch's converter."""
    space = get_space(space_name)
    specs = unique_block_specs(space, space.resolutions[:1])[:30]
    write_tflite([random_block(specs[0])])
    ours = [_seconds_to_write(spec) for spec in specs]
    rows: list[tuple[object, ...]] = [("ofa-hw", len(ours), f"{np.median(ours) * 1e3:.2f}", "1")]
    if litert_torch is not None:
        theirs = _seconds_of_converter(litert_torch, space_name)
        ratio = np.median(theirs) / np.median(ours)
        rows.append(("litert-torch", len(theirs), f"{np.median(theirs) * 1e3:.0f}", f"{ratio:.0f}"))
    write_note("models", str(models.help), ("writer", "blocks", "ms a block", "times ours"), rows)


def _seconds_to_write(spec: BlockSpec) -> float:
    block = random_block(spec)
    begin = time.perf_counter()
    write_tflite([block])
    return time.perf_counter() - begin


_CONVERT = """
import sys, time, litert_torch, torch
from ofa_hw.blocks import unique_block_specs
from ofa_hw.nn.block import build_block
from ofa_hw.space import get_space
space = get_space(sys.argv[1])
for index, spec in enumerate(unique_block_specs(space, space.resolutions[:1])[:6]):
    block = build_block(spec).eval()
    x = torch.zeros(1, spec.in_channels, spec.input_size, spec.input_size)
    begin = time.perf_counter()
    litert_torch.convert(block, (x,)).export("/dev/null")
    if index:
        print("seconds", time.perf_counter() - begin)
"""


def _seconds_of_converter(python: str, space_name: str) -> list[float]:
    """Return the seconds of each conversion but the first, which pays for what is loaded once."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([python, "-c", _CONVERT, space_name], capture_output=True, text=True, env=env, check=True)
    return [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("seconds ")]


@main.command()
@click.option("--first", "path", type=click.Path(exists=True, path_type=Path), required=True, help="The earlier table.")
def repeat(path: Path) -> None:
    """The same table again, an hour or more later: how far blocks differ."""
    first = LatencyTable.read(path)
    space = get_space(first.space)
    blocks, notes = _profile(space, first.resolutions, first.device)
    made = dt.datetime.fromisoformat(first.measurements[0].measured_at)
    hours = f"{(dt.datetime.now(dt.UTC) - made).total_seconds() / 3600:.1f}"
    second = LatencyTable(space=space.name, measurements=blocks, notes=notes)
    difference = compare_tables(first, second)
    away = np.abs([block.ratio - 1 for block in difference.blocks])
    columns = ("blocks", "hours between", "median difference", "nine of ten within", "largest", "clear")
    clear = sum(block.is_clear for block in difference.blocks)
    rows = [(len(away), hours, f"{np.median(away):.2%}", f"{np.quantile(away, 0.9):.2%}", f"{away.max():.2%}", clear)]
    write_note(f"repeat-{space.name}-{first.device}", f"{repeat.help} {_quiet(notes)}", columns, rows)


@main.command()
@_DEVICE
@click.option("--space", "space_name", default="fashion", show_default=True)
def contention(device_name: str, space_name: str) -> None:
    """A second process keeps a core busy, ours or another: is it noticed, and how far are rows off."""
    space = get_space(space_name)
    sizes = sizes_of(space, TWO_RESOLUTIONS)
    quiet, _ = _profile(space, sizes, device_name)
    truth = {row.block: row.median_ms for row in quiet}
    measured_core = max(os.sched_getaffinity(0))
    rows = []
    for name, core in (("the same core", measured_core), ("another core", min(os.sched_getaffinity(0)))):
        rival = multiprocessing.get_context("spawn").Process(target=_spin, args=(core,), daemon=True)
        rival.start()
        try:
            blocks, notes = _profile(space, sizes, device_name)
        finally:
            rival.kill()
            rival.join()
        away = np.array([abs(row.median_ms / truth[row.block] - 1) for row in blocks])
        marked = np.array(["contended" in row.marks.split() for row in blocks])
        unmarked_off = int(((away > 0.05) & ~marked).sum())
        rows.append(
            (
                name,
                f"{marked.mean():.0%}",
                f"{np.median(away):.2%}",
                f"{(away <= 0.05).mean():.0%}",
                unmarked_off,
                notes["others_load"],
                notes["rounds"],
            )
        )
    columns = ("busy", "rows marked", "median difference", "within 5 %", "unmarked and off", "others' load", "rounds")
    write_note(f"contention-{space.name}-{device_name}", str(contention.help), columns, rows)


def _spin(core: int) -> None:
    os.sched_setaffinity(0, {core})
    end = time.monotonic() + 600
    while time.monotonic() < end:
        pass


@main.command()
@_DEVICE
@click.option("--space", "space_name", default="fashion", show_default=True)
@click.option("--seed", default=0, show_default=True)
def kill(device_name: str, space_name: str, seed: int) -> None:
    """SIGKILL at ten random moments of a profile run, each resumed: which rows are lost or doubled.

    Five fall where it may still be building the models, five where it times them.
    """
    rng = random.Random(seed)
    specs = unique_block_specs(get_space(space_name))
    with tempfile.TemporaryDirectory(prefix="ofa-hw-") as folder:
        out = Path(folder) / "table.csv"
        journal = out.with_name(f"{out.name}.journal")
        command = [
            sys.executable,
            "-m",
            "ofa_hw",
            "profile",
            "--device",
            device_name,
            "--space",
            space_name,
            "--out",
            str(out),
            "--target-ci",
            "0.002",
            "--max-seconds",
            "30",
        ]
        num_rounds = []
        for kill_number in range(10):
            process = subprocess.Popen(
                [*command, *(["--resume"] if kill_number else [])],
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            if kill_number % 2:
                _wait_for_rounds(journal, num_rounds[-1])
            time.sleep(rng.uniform(0.5, 4))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            num_rounds.append(_num_rounds(journal))
        subprocess.run([*command, "--resume"], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        table = LatencyTable.read(out)
    lost = len(set(specs) - {row.block for row in table.measurements})
    doubled = len(table.measurements) - len({row.block for row in table.measurements})
    columns = ("kills", "rounds kept after each", "rows", "lost", "doubled")
    rows = [(len(num_rounds), " ".join(map(str, num_rounds)), len(table.measurements), lost, doubled)]
    write_note(f"kill-{space_name}-{device_name}", _text(kill), columns, rows)


def _wait_for_rounds(journal: Path, known: int) -> None:
    """Return when the journal holds more rounds than were known, or after a minute."""
    end = time.monotonic() + 60
    while _num_rounds(journal) <= known and time.monotonic() < end:
        time.sleep(0.05)


def _num_rounds(journal: Path) -> int:
    return sum(line.count(b'"order"') for line in journal.read_bytes().splitlines()) if journal.exists() else 0


def _text(command: click.Command) -> str:
    return " ".join(str(command.help).split())


def _quiet(notes: dict[str, str]) -> str:
    return f"Other processes kept {notes['others_load']} busy; rounds: {notes['rounds']}."


if __name__ == "__main__":
    main()
