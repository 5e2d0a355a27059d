"""SIGKILL at ten random moments of a training, and at five of the evaluation of subnets, each gone on with.

A training of `fashion` on the built-in images through all phases is run once unbroken and once killed, at moments
drawn over its whole length, and resumed after each. Both leave a checkpoint every 20 steps, so that each life gets
further than the last. What must be equal: the weights and the journal of samples to the byte, the journal of training
but for its seconds.

    python -m benchmarks.killing --epochs 6 --num 60
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.note import write_note
from ofa_hw.cli.console import remark
from ofa_hw.files import read_jsonl
from ofa_hw.images import BUILTIN
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from ofa_hw.training import budget, create_run, progressive_shrinking


@click.command()
@click.option("--epochs", default=6.0, show_default=True)
@click.option("--num", default=60, show_default=True, help="Subnets to evaluate.")
@click.option("--threads", default=2, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def main(epochs: float, num: int, threads: int, seed: int) -> None:
    """Print the table and write the note."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="ofa-hw-") as folder:
        unbroken, killed = (make_run(Path(folder) / name, epochs) for name in ("unbroken", "killed"))
        train = ["train", "--resume", "--threads", str(threads)]
        sample = ["sample", "--threads", str(threads), "--num", str(num)]
        train_seconds = to_the_end(train, unbroken)
        sample_seconds = to_the_end(sample, unbroken)
        moments = sorted(rng.uniform(0, train_seconds) for _ in range(10))
        places = kill_at(moments, train, killed)
        to_the_end(train, killed)
        sample_moments = sorted(rng.uniform(0, sample_seconds) for _ in range(5))
        counts = kill_at(sample_moments, sample, killed)
        to_the_end(sample, killed)
        same_weights, same_rows, same_samples = (
            "yes" if of(unbroken) == of(killed) else "NO" for of in (weights_of, rows_of, samples_of)
        )
        rows = [
            ("training", len(places), " ".join(places), same_weights, "supernet.safetensors"),
            ("", "", "", same_rows, "metrics.jsonl but for seconds"),
            ("samples", len(counts), " ".join(counts), same_samples, "samples.jsonl"),
        ]
    write_note("killing", __doc__, ("what", "kills", "last row of its journal at each", "equal", "in"), rows)


def make_run(path: Path, epochs: float) -> RunFolder:
    """Return a run that is ready for `ofa-hw train --resume`."""
    space = get_space("fashion")
    run = create_run(
        path,
        space=space,
        data=BUILTIN,
        schedule=lambda num_images: progressive_shrinking(space, num_images=budget(num_images, epochs)),
    )
    config = run.config_path.read_text()
    often = re.sub(r"checkpoint_every = \d+", "checkpoint_every = 20", config)
    if often == config:
        raise click.ClickException(f"{run.config_path} must say how often checkpoints are written")
    run.config_path.write_text(often)
    return RunFolder.open(path)


def kill_at(moments: list[float], command: list[str], run: RunFolder) -> list[str]:
    """Kill the command for `run` each time it has worked as long as it takes from one moment to the next.

    Return how far its journal was at each.
    """
    done, places = 0.0, []
    for moment in moments:
        process = start(command, run)
        time.sleep(START_SECONDS + moment - done)
        done = moment
        process.send_signal(signal.SIGKILL)
        process.wait()
        places.append(place_of(run) if command[0] == "train" else str(len(read_jsonl(run.samples_path))))
        remark(f"killed {command[0]} at {places[-1]}")
    return places


def place_of(run: RunFolder) -> str:
    """Return the phase and the step of the last row of training that was written."""
    steps = [row for row in read_jsonl(run.metrics_path) if row["kind"] == "step"]
    return f"{steps[-1]['phase']}:{steps[-1]['step']}" if steps else "start"


START_SECONDS = 4.0
"""What a process takes before it works, about."""


def start(command: list[str], run: RunFolder) -> subprocess.Popen[bytes]:
    """Start the command for `run`."""
    words = [sys.executable, "-m", "ofa_hw", *command, "--run", str(run.path)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def to_the_end(command: list[str], run: RunFolder) -> float:
    """Run the command; return the seconds it worked."""
    begin = time.monotonic()
    if start(command, run).wait():
        raise click.ClickException(f"{' '.join(command)} failed")
    return max(0.0, time.monotonic() - begin - START_SECONDS)


def weights_of(run: RunFolder) -> bytes:
    """Return the bytes of the weights."""
    return run.supernet_path.read_bytes()


def samples_of(run: RunFolder) -> bytes:
    """Return the bytes of the journal of samples."""
    return run.samples_path.read_bytes()


def rows_of(run: RunFolder) -> list[dict[str, object]]:
    """Return the rows of the journal of training, without the seconds."""
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


if __name__ == "__main__":
    main()
