"""SIGKILL at random moments of short pieces of work, which are gone on with until they end as if unbroken.

python -m tests.fuzz.kills --num 330

Each piece is a command on a tiny run. Its work is done once unbroken; then it is begun, killed at a random moment of
its length, and gone on with, again and again. What must be equal in the end: its files to the byte, but for the
seconds of a journal; of `profile` what was measured; and no temporary file or folder stays.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from ofa_hw.images import BUILTIN
from ofa_hw.lut import LatencyTable
from ofa_hw.run import RunFolder
from ofa_hw.training import create_run
from ofa_hw.training.schedule import Phase
from tests.fuzz.kinds import OLD

Words = list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A command with what goes on with it; `result` is what must be equal, `needs` the pieces before it."""

    words: Words
    on: Words
    result: Callable[[Path], object]
    needs: tuple[str, ...] = ()


def _weights(folder: Path) -> object:
    run = RunFolder.open(folder / "run")
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return run.supernet_path.read_bytes(), [{**row, "seconds": 0} for row in rows]


def _predictor(folder: Path) -> object:
    path = RunFolder.open(folder / "run").predictor_path
    return {each.name: each.read_bytes() for each in sorted(path.iterdir())}


def _table(folder: Path) -> object:
    return [row.block.key for row in LatencyTable.read(folder / "table.csv").measurements]


_SPACE = str(OLD / "tiny.toml")
_PROFILE = ["profile", "--space", _SPACE, "--device", "host", "--out", "table.csv", "--max-seconds", "4"]
_SEARCH = ["search", "--run", "run", "--objective", "top1", "--objective", "macs", "--evaluations", "2000"]
_SAMPLE = ["sample", "--run", "run", "--num", "30", "--threads", "1"]
PIECES = {
    "train": Piece(
        words=["train", "--run", "run", "--resume", "--threads", "1"],
        on=["train", "--run", "run", "--resume", "--threads", "1"],
        result=_weights,
    ),
    "sample": Piece(
        words=_SAMPLE, on=_SAMPLE, result=lambda folder: (folder / "run/samples.jsonl").read_bytes(), needs=("train",)
    ),
    "fit": Piece(
        words=["fit", "--run", "run", "--model", "ridge"],
        on=["fit", "--run", "run", "--model", "ridge"],
        result=_predictor,
        needs=("train", "sample"),
    ),
    "search": Piece(
        words=_SEARCH,
        on=[*_SEARCH, "--resume"],
        result=lambda folder: (folder / "run/pareto.csv").read_bytes(),
        needs=("train", "sample", "fit"),
    ),
    "profile": Piece(words=_PROFILE, on=[*_PROFILE, "--resume"], result=_table),
}


@dataclasses.dataclass(kw_only=True)
class Count:
    """What came of the kills of a piece."""

    kills: int = 0
    rounds: int = 0
    equal: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)


def make_run(folder: Path) -> None:
    """Make a run whose training is seconds of work with a checkpoint every ten steps."""
    from ofa_hw.space import SearchSpace

    run = create_run(
        folder / "run",
        space=SearchSpace.from_toml(_SPACE),
        data=BUILTIN,
        schedule=lambda _: (Phase(name="largest", num_images=3000, learning_rate=0.1),),
        batch_size=32,
    )
    config = run.config_path.read_text().replace("checkpoint_every = 500", "checkpoint_every = 10")
    run.config_path.write_text(config)


def start(words: Words, folder: Path) -> subprocess.Popen[bytes]:
    """Start the command in `folder`."""
    program = [sys.executable, "-m", "ofa_hw", *words]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end(words: Words, folder: Path) -> tuple[int, str]:
    """Run the command to its end; return its exit code and what it said."""
    process = start(words, folder)
    _, err = process.communicate(timeout=600)
    return process.returncode, err.decode(errors="replace")


def kill_rounds(name: str, folder: Path, num_kills: int, rng: random.Random, count: Count) -> None:
    """Kill the piece `num_kills` times in rounds of one to four, each begun anew and compared with the unbroken one."""
    piece = PIECES[name]
    base = folder / "base"
    whole = shutil.copytree(base, folder / "whole")
    begin = time.monotonic()
    code, err = end(piece.words, whole)
    assert code == 0, err
    seconds, wanted = time.monotonic() - begin, piece.result(whole)
    while count.kills < num_kills:
        broken, words = shutil.copytree(base, folder / "broken"), piece.words
        for _ in range(min(rng.randint(1, 4), num_kills - count.kills)):
            process = start(words, broken)
            time.sleep(rng.uniform(0.3, 1.0) * seconds)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            count.kills += 1
            words = piece.on
        code, err = end(piece.on, broken)
        count.rounds += 1
        left = [path.name for path in broken.rglob("*") if path.name.startswith(".") and path.name != ".lock"]
        if code or "Traceback" in err:
            count.faults.append(f"exit code {code}: {err.strip()[-300:]}")
        elif piece.result(broken) != wanted:
            count.faults.append("another result than the unbroken one")
        elif left:
            count.faults.append(f"{left[0]} stays")
        else:
            count.equal += 1
        shutil.rmtree(broken)
    shutil.rmtree(whole)


@click.command()
@click.option("--num", default=330, show_default=True, help="Kills in all.")
@click.option("--piece", "names", multiple=True, type=click.Choice(list(PIECES)), help="Only these.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def main(num: int, names: tuple[str, ...], seed: int) -> None:
    """Print, for each piece, how many kills there were and how many rounds ended like the unbroken one."""
    rng = random.Random(seed)
    chosen = names or tuple(PIECES)
    with tempfile.TemporaryDirectory(prefix="ofa-hw-kills-") as name:
        folder = Path(name)
        base = folder / "base"
        base.mkdir()
        make_run(base)
        for piece, its in PIECES.items():
            if piece in chosen:
                count = Count()
                kill_rounds(piece, folder, max(1, round(num / len(chosen))), rng, count)
                click.echo(f"{piece:10} {count.kills:4} kills {count.rounds:4} rounds {count.equal:4} equal")
                for fault in count.faults:
                    click.echo(f"    {fault}")
            if any(piece in PIECES[later].needs for later in chosen):
                code, err = end(its.words, base)
                assert code == 0, err


if __name__ == "__main__":
    main()
