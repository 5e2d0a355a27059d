"""How often the CI gate is wrong: 100 pairs of runs with no change, and 100 whose second model does 8 % more work.

Every run is a whole gate of `ofa-hw bench` on a model of 25 equal blocks, or of 27 for the slower one: real timings of
real work, the two models in turn. The pairs are the runs that lie nearest in time, so a run is part of several, and
pairs are not independent. The gate fails above 5 %.

    python -m benchmarks.gate --journal gate.jsonl --max-minutes 5   # as often as needed; it goes on where it was
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.note import write_note
from ofa_hw.bench import Benchmark, Comparison, Metric, ProcessTimes, Verdict, compare, gate_plan, read_suite, run_suite
from ofa_hw.cli.console import remark, show_progress
from ofa_hw.files import append_jsonl, read_jsonl
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.plugins import find_device
from ofa_hw.profiling import Workload
from ofa_hw.testing import heavy_block

BLOCK = dataclasses.replace(
    heavy_block(), input_size=14, in_channels=24, mid_channels=96, out_channels=24, activation="relu", use_se=False
)
NUM_BLOCKS = {"same": 25, "slower": 27}
THRESHOLD = 0.05
NUM_PAIRS = 100


@click.command()
@click.option("--journal", type=click.Path(path_type=Path), required=True, help="Where every run is kept.")
@click.option("--runs", default=100, show_default=True, help="Runs of both models together.")
@click.option("--processes", default=16, show_default=True, help="As `ofa-hw bench` has it.")
@click.option("--max-minutes", default=60.0, show_default=True, help="Stop after a run that ends later than this.")
def main(journal: Path, runs: int, processes: int, max_minutes: float) -> None:
    """Time what is still missing, then judge all pairs and write the note."""
    wanted = [("same", "slower")[number % 2] for number in range(runs)]
    rows = read_jsonl(journal)
    end = time.monotonic() + 60 * max_minutes
    with tempfile.TemporaryDirectory() as folder, show_progress() as progress:
        suites = {name: _write_suite(Path(folder), name) for name in NUM_BLOCKS}
        for number in range(len(rows), len(wanted)):
            if time.monotonic() > end:
                remark(f"{number} of {len(wanted)} runs are done; run the same command again")
                return
            rows.append(_timed(suites[wanted[number]], wanted[number], processes, seed=number))
            append_jsonl(journal, rows[-1])
            progress("gates", number + 1, len(wanted))
    _judge(rows[:runs], processes)


def _write_suite(folder: Path, name: str) -> Path:
    chain = Workload(name=name, specs=(BLOCK,) * NUM_BLOCKS[name])
    (folder / f"{name}.tflite").write_bytes(write_tflite(chain.folded()))
    suite = folder / f"{name}.toml"
    suite.write_text(f'name = "gate"\n[models]\nmodel = "{name}.tflite"\n')
    return suite


def _timed(suite: Path, name: str, processes: int, *, seed: int) -> dict[str, object]:
    device = find_device("host")
    begin = time.monotonic()
    told = run_suite(read_suite(suite), device, gate_plan(device, num_processes=processes, max_seconds=60), seed=seed)
    seconds = time.monotonic() - begin
    load = float(told.notes["tflite others_load"].split()[0])
    return {"name": name, "seconds": seconds, "others_load": load, "figure": dataclasses.asdict(told.figures[0])}


def _judge(rows: list[dict[str, object]], processes: int) -> None:
    runs = [_benchmark(row) for row in rows]
    is_slower = [row["name"] == "slower" for row in rows]
    same = [_compared(runs[i], runs[j]) for i, j in _nearest(is_slower, slower=False)]
    slower = [_compared(runs[i], runs[j]) for i, j in _nearest(is_slower, slower=True)]
    seconds = np.array([row["seconds"] for row in rows], float)
    loads = np.array([row["others_load"] for row in rows], float)
    covered = sum(pair.changes[0].low <= 1 <= pair.changes[0].high for pair in same)
    write_note(
        "gate",
        __doc__,
        ("figure", "no change", "+8 % work"),
        [
            ("pairs", len(same), len(slower)),
            ("runs of the first and of the slower model", is_slower.count(False), is_slower.count(True)),
            *((verdict.value, len(_of(same, verdict)), len(_of(slower, verdict))) for verdict in _VERDICTS),
            ("change, median", _percent(same, 50), _percent(slower, 50)),
            ("change, 5th to 95th percentile", f"{_percent(same, 5)} to {_percent(same, 95)}",
             f"{_percent(slower, 5)} to {_percent(slower, 95)}"),
            ("half width of the interval, median", _half_width(same), _half_width(slower)),
            ("intervals that hold 0 %", covered, ""),
            (f"seconds a gate of {processes} processes, median", f"{np.median(seconds):.1f}", ""),
            ("seconds a gate, 95th percentile", f"{np.quantile(seconds, 0.95):.1f}", ""),
            ("cores busy with others, median and largest", f"{np.median(loads):.2f}, {loads.max():.2f}", ""),
        ],
    )  # fmt: skip


_VERDICTS = (Verdict.SLOWER, Verdict.UNCLEAR, Verdict.SAME, Verdict.FASTER)


def _benchmark(row: dict[str, object]) -> Benchmark:
    told = dict(row["figure"])
    times = ProcessTimes(**{name: tuple(values) for name, values in told["times"].items()})
    return Benchmark(name="gate", figures=(Metric(**{**told, "times": times}),))


def _nearest(is_slower: list[bool], *, slower: bool) -> list[tuple[int, int]]:
    """Return the `NUM_PAIRS` pairs of a run of the first model and a later one of it, or any of the slower one."""
    numbers = range(len(is_slower))
    pairs = [
        (i, j) for i in numbers for j in numbers if not is_slower[i] and is_slower[j] == slower and (slower or i < j)
    ]
    return sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))[:NUM_PAIRS]


def _compared(before: Benchmark, now: Benchmark) -> Comparison:
    return compare(before, now, threshold=THRESHOLD)


def _of(pairs: list[Comparison], verdict: Verdict) -> list[Comparison]:
    return [pair for pair in pairs if pair.of(verdict)]


def _percent(pairs: list[Comparison], percentile: float) -> str:
    return f"{100 * (np.percentile([pair.changes[0].ratio for pair in pairs], percentile) - 1):+.1f} %"


def _half_width(pairs: list[Comparison]) -> str:
    widths = [(pair.changes[0].high - pair.changes[0].low) / 2 for pair in pairs]
    return f"{100 * float(np.median(widths)):.1f} %"


if __name__ == "__main__":
    main()
