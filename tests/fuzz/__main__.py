"""Many damaged files of every kind: python -m tests.fuzz --cases 7500.

Each batch runs in a process of its own, so that a crash of Python is seen and told as one.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import click
import torch

from tests.fuzz.cases import HANG, READ, REFUSED, TRACEBACK, Outcome, run_case
from tests.fuzz.kinds import KINDS, prepare

CRASH = "crash"
RESULTS = (READ, REFUSED, TRACEBACK, HANG, CRASH)


@click.command()
@click.option("--cases", default=7500, show_default=True, help="How many in all.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only these.")
@click.option("--seed", default=0, show_default=True, help="The seed of the first case.")
@click.option("--faults", type=click.Path(path_type=Path), help="Write what went wrong here, a line of JSON each.")
def main(cases: int, kinds: tuple[str, ...], seed: int, faults: Path | None) -> None:
    """Print how many cases of each kind ended how."""
    chosen = kinds or tuple(KINDS)
    weights = sum(KINDS[name].weight for name in chosen)
    counts: Counter[tuple[str, str]] = Counter()
    for name in chosen:
        first, end = seed, seed + round(cases * KINDS[name].weight / weights)
        while first < end:
            for outcome in _batch(name, first, end):
                first = outcome.seed + 1
                counts[name, outcome.result] += 1
                if outcome.result in (TRACEBACK, HANG, CRASH) and faults:
                    with faults.open("a") as file:
                        file.write(json.dumps(vars(outcome)) + "\n")
        _print(name, counts)
    total = Counter({("all", result): sum(counts[name, result] for name in chosen) for result in RESULTS})
    _print("all", total)


def _print(name: str, counts: Counter[tuple[str, str]]) -> None:
    click.echo(f"{name:24}" + "".join(f"{counts[name, result]:7} {result}" for result in RESULTS))


def _batch(name: str, first: int, end: int) -> list[Outcome]:
    """Return the outcomes of the cases from `first`, to `end` or to one that ends the process."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_work, args=(name, first, end, sender))
    process.start()
    sender.close()
    outcomes = []
    try:
        while receiver.poll(60 + KINDS[name].seconds):
            outcomes.append(receiver.recv())
        result, told = HANG, "in code that no signal interrupts"
    except EOFError:
        process.join(10)
        result, told = CRASH, f"exit code {process.exitcode}"
    process.kill()
    process.join()
    at = outcomes[-1].seed + 1 if outcomes else first
    if at < end:
        outcomes.append(Outcome(kind=name, seed=at, file="", result=result, told=told))
    return outcomes


def _work(name: str, first: int, end: int, sender: Connection) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ofa-hw-fuzz-") as folder:
        prepare(Path(folder))
        for seed in range(first, end):
            sender.send(run_case(name, seed, Path(folder)))


if __name__ == "__main__":
    main()
