"""The search beside random search, pymoo's NSGA-II and the evolution of PyPI's `ofa`, each with the same budget.

Hypervolume is told as a share of the exact front's, reference point the worst of both objectives. The predictor is
fitted to OFA-MobileNetV3 accuracies that others measured (IntelLabs/DyNAS-T); the tables' blocks cost by their MACs and
kernel size, invented for three devices at odds: throughput and distance from the exact front do not depend on whether
a latency was measured. What devices lose by a front that serves several is told on the tables of lut/. One core,
medians; a speed is architectures scored a second in the whole loop. The data lie in ../shared/data.

    python -m benchmarks.search
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import dataclasses  # noqa: E402
import functools  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import click  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import fronts  # noqa: E402
from benchmarks.note import write_note  # noqa: E402
from benchmarks.predictor import SPACE, read_ofa_accuracies  # noqa: E402
from ofa_hw.blocks import block_macs, unique_block_specs  # noqa: E402
from ofa_hw.cli.console import remark  # noqa: E402
from ofa_hw.cost import Direction, LutLatency, Objective, Source  # noqa: E402
from ofa_hw.lut import LatencyTable  # noqa: E402
from ofa_hw.predictor import AccuracyPredictor  # noqa: E402
from ofa_hw.profiling import Measurement, RunConditions  # noqa: E402
from ofa_hw.run import RunFolder  # noqa: E402
from ofa_hw.search import NamedObjectives, SearchPlan, SearchProblem, narrow_space, prove_front  # noqa: E402
from ofa_hw.search.find import find_front  # noqa: E402
from ofa_hw.search.many_devices import ROBUST, device_problems, robust_problem, search_devices  # noqa: E402
from ofa_hw.search.named import name_tables  # noqa: E402
from ofa_hw.search.regret import Regret  # noqa: E402
from ofa_hw.space import Genes  # noqa: E402

COLUMNS = ("figure", "ofa-hw", "beside it", "at least")
SEEDS = range(5)
NUM_EVALUATIONS = 20_000
NOTE10 = Path(__file__).parents[2] / "shared/data/latency/original/note10_224_lookup_table.yaml"
LUT = Path(__file__).parents[1] / "lut"
LARGE_KERNELS = {"even": 1.0, "slow-large-kernels": 1.6, "fast-large-kernels": 0.7}
Row = tuple[str, str, str, str]


@click.command()
@click.option(
    "--only", type=click.Choice(["speed", "separable", "nasbench", "devices", "robust", "wall"]), multiple=True
)
def main(only: tuple[str, ...]) -> None:
    """Print every figure, and write the note."""
    parts = {
        "separable": separable_rows,
        "nasbench": nasbench_rows,
        "devices": device_rows,
        "robust": robust_rows,
        "speed": speed_rows,
        "wall": wall_rows,
    }
    rows = []
    for name, part in parts.items():
        if not only or name in only:
            rows += part()
            remark(f"{name}: {rows[-1]}")
    write_note("-".join(("search", *only)), __doc__ or "", COLUMNS, rows)


def separable_rows() -> list[Row]:
    """Return how near the exact front of sums each search comes."""
    problem = fronts.separable()
    mine = fronts.shares(fronts.ours, problem, NUM_EVALUATIONS, SEEDS)
    others = {
        "pymoo": fronts.shares(
            lambda *given: fronts.pymoo_nsga2(*given, population_size=200), problem, NUM_EVALUATIONS, SEEDS[:3]
        ),
        "random": fronts.shares(fronts.random_search, problem, NUM_EVALUATIONS, SEEDS),
    }
    return [
        (
            f"hypervolume, {problem.name}, 20,000 evaluations, mean and worst of five seeds",
            f"{_percent(mine.mean())}, {_percent(mine.min())}",
            ", ".join(f"{name} {_percent(found.mean())}" for name, found in others.items()),
            "99.7 %, worst 99.5 %",
        )
    ]


def nasbench_rows() -> list[Row]:
    """Return how near the exact fronts of NAS-Bench-201 each search comes after 1,000 of 15,625 cells."""
    problems = fronts.nasbench201()
    mine, pymoo, chance = (
        np.array([fronts.shares(search, problem, 1000, SEEDS).mean() for problem in problems])
        for search in (fronts.ours, fronts.pymoo_nsga2, fronts.random_search)
    )
    ratio = (1 - mine) / np.maximum(1 - pymoo, 1e-12)
    below = [
        f"{problem.name} ({_percent(a)} to {_percent(b)})"
        for problem, a, b in zip(problems, mine, pymoo, strict=True)
        if a < b
    ]
    return [
        (
            "hypervolume, NAS-Bench-201, 27 devices, 1,000 evaluations, five seeds: mean, worst device",
            f"{_percent(mine.mean())}, {_percent(mine.min())}",
            f"pymoo {_percent(pymoo.mean())}, {_percent(pymoo.min())}; random {_percent(chance.mean())}",
            "mean 99.95 %",
        ),
        (
            "devices on which it is below pymoo",
            ", ".join(below) or "none",
            f"median of gaps {np.median(ratio):.2f} x",
            "none",
        ),
    ]


def device_rows() -> list[Row]:
    """Return how near its exact front each device's own comes in a search for three, and the robust one to its own."""
    named = _named("ridge", tuple(LARGE_KERNELS))
    problems, robust_of = device_problems(named, []), functools.partial(robust_problem, named, [])
    begin = time.perf_counter()
    found = search_devices(problems, robust=robust_of, num_evaluations=NUM_EVALUATIONS)
    seconds = time.perf_counter() - begin
    problems[ROBUST] = robust_of({name: found[name].genes for name in problems})
    gaps = {name: prove_front(problems[name], found[name].genes) for name in problems}
    of_robust = {name: prove_front(problems[name], found[ROBUST].genes).gap for name in problems if name != ROBUST}
    return [
        (
            "three devices in one search: gap of each device's own front to its exact front",
            ", ".join(_percent(proof.gap, 3) for name, proof in gaps.items() if name != ROBUST),
            f"four fronts in {seconds:.1f} s",
            "within 1 %",
        ),
        (
            "what each device loses with the robust front",
            ", ".join(_percent(gap, 3) for gap in of_robust.values()),
            f"single changes would bring the robust front {_percent(gaps[ROBUST].gap, 3)}",
            "",
        ),
    ]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WorstRelativeLatency:
    """What the robust front was by before: the worst latency, each relative to that of the space's largest network."""

    latencies: tuple[LutLatency, ...]
    name: str = "relative_latency"
    unit: str = ""
    direction: Direction = "min"
    source: Source = "predicted"

    def evaluate(self, genes: Genes) -> fronts.Floats:
        """Return the worst relative latency (n,)."""
        space = self.latencies[0].space
        largest = space.encode([space.largest])
        return np.max([told.evaluate(genes) / told.evaluate(largest) for told in self.latencies], axis=0)


def robust_rows() -> list[Row]:
    """Return what each device loses by sharing its networks with the other, on the tables of lut/."""
    predictor = _predictor("ridge")
    tables = name_tables([LatencyTable.read(LUT / f"epyc-{runtime}-{SPACE.name}.csv") for runtime in ("litert", "ort")])
    space = narrow_space(SPACE, predictor, list(tables.values()))
    named = NamedObjectives.of(space, predictor, tables)
    top1 = named["top1"]
    problems, robust_of = device_problems(named, []), functools.partial(robust_problem, named, [])
    found = search_devices(problems, robust=robust_of, num_evaluations=NUM_EVALUATIONS)
    old = SearchProblem(space=space, objectives=(top1, WorstRelativeLatency(latencies=tuple(named.latencies.values()))))
    known = np.unique(np.concatenate([front.genes for name, front in found.items() if name != ROBUST]), axis=0)
    before = find_front(old, SearchPlan.of(NUM_EVALUATIONS), start=known).genes
    own = {device: prove_front(problem, found[device].genes).genes for device, problem in problems.items()}
    rows = []
    for device, latency in named.latencies.items():
        losses = [_losses(top1, latency, own[device], genes) for genes in (found[ROBUST].genes, before)]
        for index, (what, unit) in enumerate((("top-1 at equal latency", "points"), ("latency at equal top-1", "%"))):
            now, then = (f"{loss[index].mean():.2f}, {loss[index].max():.2f} {unit}" for loss in losses)
            rows.append((f"robust front on {device}, {what}: lost in the mean and at worst", now, f"before {then}", ""))
    regret = Regret(top1, tuple((latency, own[device]) for device, latency in named.latencies.items()))
    now, then = (100 * (regret.worst(genes)[0] - 1) for genes in (found[ROBUST].genes, before))
    told = [f"{worst.mean():.1f}, {worst.max():.1f} % ({len(worst)} networks)" for worst in (now, then)]
    return [*rows, ("worst regret of its networks, mean and largest", told[0], f"before {told[1]}", "")]


def _losses(top1: Objective, latency: LutLatency, own: Genes, shared: Genes) -> tuple[fronts.Floats, fronts.Floats]:
    """Return what choosing of `shared` loses to choosing of a device's `own` front.

    In points at each latency of that front which some shared network keeps, and in per cent at each of its top-1 that
    some shared network has.
    """
    own_top1, own_ms, its_top1, its_ms = (
        objective.evaluate(genes) for genes in (own, shared) for objective in (top1, latency)
    )
    points = [
        100 * (own_top1[own_ms <= budget].max() - its_top1[its_ms <= budget].max())
        for budget in own_ms[own_ms >= its_ms.min()]
    ]
    percent = [
        100 * (its_ms[its_top1 >= level].min() / own_ms[own_top1 >= level].min() - 1)
        for level in own_top1[own_top1 <= its_top1.max()]
    ]
    return np.array(points), np.array(percent)


def speed_rows() -> list[Row]:
    """Return architectures scored a second with a table and the MLP, the peer in the same run, in turn."""
    from benchmarks.once_for_all_search import evolve, evolve_as_shipped

    named = _named("mlp", ("even",))
    problem = SearchProblem(space=named.space, objectives=(named["top1"], named["latency"]))
    predictor, latency = named["top1"].predictor, named["latency"]
    limit_ms = float(np.median(latency.evaluate(named.space.sample_genes(1000, np.random.default_rng(0)))))
    mine, its, shipped, at_limit = [], [], [], []
    for seed in SEEDS:
        begin = time.perf_counter()
        front = find_front(problem, SearchPlan.of(50_000), seed=seed)
        mine.append(front.num_evaluations / (time.perf_counter() - begin))
        inside = front.values[front.values[:, 1] <= limit_ms]
        speed, best = evolve(named.space, predictor, latency, limit_ms=limit_ms, num_generations=100)
        its.append(speed)
        shipped.append(evolve_as_shipped(NOTE10, num_generations=50))
        at_limit.append((-float(inside[:, 0].min()), best))
    to_its, to_shipped = ([a / b for a, b in zip(mine, other, strict=True)] for other in (its, shipped))
    best_mine, best_its = np.mean(at_limit, axis=0)
    beside = (
        f"ofa's evolution with its own table and predictor {statistics.median(shipped):,.0f}: "
        f"{statistics.median(to_shipped):.1f} x; its loop alone on ours {statistics.median(its):,.0f}: "
        f"{statistics.median(to_its):.1f} x"
    )
    return [
        (
            "architectures scored a second, table and MLP, one core, median of five",
            f"{statistics.median(mine):,.0f}",
            beside,
            "50,000, 25 x",
        ),
        (
            "best predicted top-1 within the median latency: ours on one front of 50,000, ofa's of 10,100 for it alone",
            _percent(best_mine, 3),
            f"ofa's evolution {_percent(best_its, 3)}",
            "",
        ),
    ]


def wall_rows() -> list[Row]:
    """Return what `ofa-hw search` takes from the shell with its defaults."""
    named = _named("mlp", ("even",))
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", {"space": SPACE.to_dict()})
        named["top1"].predictor.save(run.predictor_path)
        named["latency"].table.write(Path(folder) / "even.csv")
        words = ["search", "--run", str(run.path), "--lut", str(Path(folder) / "even.csv")]
        program = (
            f"import sys\nfrom ofa_hw.cli.main import main\ntry:\n    main({words!r})\n"
            "except SystemExit as end:\n    assert not end.code\nassert 'torch' not in sys.modules"
        )
        times = []
        for _ in SEEDS:
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
    return [
        (
            "`ofa-hw search --lut` for OFA-MobileNetV3, defaults, from the shell, no torch imported: median of five",
            f"{statistics.median(times):.2f} s",
            "",
            "5 s or less",
        )
    ]


@functools.cache
def _predictor(model: str) -> AccuracyPredictor:
    archs, top1 = read_ofa_accuracies()
    return AccuracyPredictor.fit(SPACE, archs, top1, model=model, num_folds=5)


@functools.cache
def _named(model: str, devices: tuple[str, ...]) -> NamedObjectives:
    predictor = _predictor(model)
    tables = {device: _invented_table(device, LARGE_KERNELS[device]) for device in devices}
    space = narrow_space(SPACE, predictor, list(tables.values()))
    return NamedObjectives.of(space, predictor, tables)


def _invented_table(device: str, large_kernels: float) -> LatencyTable:
    """Return a table whose blocks cost by their MACs, those with kernels above 3 `large_kernels` times as much."""
    conditions = RunConditions(
        device=device,
        runtime="invented",
        runtime_version="0",
        dtype="float32",
        batch_size=1,
        num_threads=1,
        cpu_mask="none",
        governor="none",
        clocks="none",
    )
    at_224 = dataclasses.replace(SPACE, resolutions=(224,))
    rows = []
    for spec in unique_block_specs(at_224):
        ms = (0.02 + block_macs(spec) / 7e6) * (large_kernels if spec.kernel_size > 3 else 1.0)
        rows.append(
            Measurement(
                block=spec,
                conditions=conditions,
                median_ms=ms,
                mad_ms=0.01 * ms,
                p10_ms=ms,
                p90_ms=ms,
                ci_low_ms=ms,
                ci_high_ms=ms,
                num_runs=1,
                process_spread=0.0,
                method="invented from MACs, for benchmarks of the search",
                marks="",
                measured_at="2026-01-31T12:00:00+00:00",
            )
        )
    return LatencyTable(space=SPACE.name, measurements=tuple(rows))


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


if __name__ == "__main__":
    main()
