"""`ofa-hw search`: the networks worth having."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_hw.cli.console import echo, print_json, print_table, remark, show_progress
from ofa_hw.cli.options import json_option, run_option, seed_option, told_command

if TYPE_CHECKING:
    from ofa_hw.predictor import AccuracyPredictor
    from ofa_hw.run import RunFolder
    from ofa_hw.search import Limit, NamedObjectives, ParetoFront, Proof
    from ofa_hw.search.front import FrontColumn
    from ofa_hw.space import Genes, SearchSpace

_FILE = click.Path(dir_okay=False, path_type=Path)
ROWS_SHOWN = 20


class Bound(click.ParamType[Any]):
    """A limit as a pair of an objective's name and a quantity: of `name`, or of what stands before the =."""

    name = "bound"

    def __init__(self, objective: str | None = None, *, of_device: bool = False) -> None:
        self.objective, self.of_device = objective, of_device

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the pair; which quantities the objective takes is known when there is a table."""
        if isinstance(value, tuple):
            return value
        name, separator, quantity = value.rpartition("=")
        if self.objective is None:
            if not name.strip():
                self.fail(f"must be NAME=QUANTITY, such as peak_memory=256KiB; came {value!r}", param, ctx)
            return name.strip(), quantity
        if separator and not self.of_device:
            self.fail(f"must be a quantity; came {value!r}", param, ctx)
        return (f"{self.objective}_{name.strip()}" if separator else self.objective), quantity


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Request:
    """What was asked for, as it was written."""

    objectives: tuple[str, ...]
    bounds: tuple[tuple[str, str], ...]
    confidence: float | None
    evaluations: int
    start: Path | None
    seed: int
    prove: bool


@click.command()
@run_option
@click.option("--space", "space_name", help="Search this space without a run: its name, or a .toml file.")
@click.option(
    "--lut",
    "luts",
    type=_FILE,
    multiple=True,
    help="A device's latency table, any number.  [default: those of the last search, else the one in lut/]",
)
@click.option(
    "--predictor",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of a predictor, or one that ships for the space: imagenet.  [default: the run's]",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="NAME",
    help="What to trade off, any number: top1, latency, macs, params, peak_memory, ...  [default: top1, latency]",
)
@click.option(
    "--limit",
    "limits",
    type=Bound(),
    multiple=True,
    metavar="NAME=QUANTITY",
    help="What every network must keep, any number: peak_memory=256KiB, top1=76% (at least), latency_pixel=30ms, ...",
)
@click.option(
    "--max-latency",
    type=Bound("latency", of_device=True),
    multiple=True,
    metavar="[DEVICE=]TIME",
    help="Slower networks are no answer: 30ms, or pixel=30ms for one of many devices.",
)
@click.option("--max-macs", type=Bound("macs"), metavar="COUNT", help="Limit of multiply-accumulates: 300M.")
@click.option("--max-params", type=Bound("params"), metavar="COUNT", help="Limit of parameters: 5M.")
@click.option("--max-peak-memory", type=Bound("peak_memory"), metavar="SIZE", help="Limit of live activations: 1.5MB.")
@click.option("--min-top1", type=Bound("top1"), metavar="FRACTION", help="Least predicted top-1: 76% or 0.76.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    metavar="P",
    help="Keep limits of latency and top-1 with this probability, by the intervals of table and predictor: 0.95.",
)
@click.option("--evaluations", type=click.IntRange(min=1), default=20_000, show_default=True, help="Networks to score.")
@click.option("--exact", "prove", is_flag=True, help="Tell how far the front is from the best one, and write that.")
@click.option("--start", type=_FILE, help="A front of before, such as pareto.csv, to begin with.")
@click.option("--resume", is_flag=True, help="Go on with a search that was killed.")
@click.option("--out", type=_FILE, help="The front.  [default: pareto.csv in the run; with --space pareto-SPACE.csv]")
@seed_option
@json_option
def command(
    run: Path | None,
    space_name: str | None,
    luts: tuple[Path, ...],
    predictor: Path | None,
    objectives: tuple[str, ...],
    limits: tuple[tuple[str, str], ...],
    max_latency: tuple[tuple[str, str], ...],
    max_macs: tuple[str, str] | None,
    max_params: tuple[str, str] | None,
    max_peak_memory: tuple[str, str] | None,
    min_top1: tuple[str, str] | None,
    confidence: float | None,
    evaluations: int,
    prove: bool,
    start: Path | None,
    resume: bool,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Search the front of accuracy and latency, or of other objectives.

    Accuracy is the predictor's, latency the table's; no network is run. A limit that no network can keep is told at
    once, with the least there is.

    Of several tables, each device gets its own front (pareto-DEVICE.csv), and pareto.csv is the robust front, whose
    networks serve them all with the least regret: latency over that of the device's own front at the same top-1.

    \b
    Examples:
      ofa-hw search --lut lut/host.csv --max-latency 100us
      ofa-hw search --lut lut/pixel.csv --lut lut/note10.csv --max-latency pixel=30ms --max-params 5M
      ofa-hw search --objective macs --objective params --limit peak_memory=256KiB
      ofa-hw search --space ofa-mobilenetv3-w1.0 --predictor imagenet --objective top1 --objective macs
    """
    from ofa_hw.run import RunFolder
    from ofa_hw.search.chosen import keep_replaced
    from ofa_hw.search.front_file import front_text
    from ofa_hw.search.tables import require_tables
    from ofa_hw.space import get_space

    if space_name and run:
        raise click.UsageError("give either --run or --space")
    folder = None if space_name else RunFolder.open(run)
    space = folder.space if folder else get_space(space_name or "")
    request = _Request(
        objectives=objectives,
        bounds=(*limits, *max_latency, *filter(None, (max_macs, max_params, max_peak_memory, min_top1))),
        confidence=confidence,
        evaluations=evaluations,
        start=start,
        seed=seed,
        prove=prove,
    )
    if folder and not luts and not objectives:
        luts = tuple(require_tables(folder))
    path = out or (folder.front_path if folder else Path(f"pareto-{space.name}.csv"))
    journals = folder.path / "search.safetensors" if folder else path.with_suffix(".search.safetensors")
    if not resume:
        _remove_journals(journals)
    named = _read_objectives(space, folder, luts, predictor, request)
    found = _search(named, request, journals)
    files = {name: path if index == 0 else path.with_stem(f"{path.stem}-{name}") for index, name in enumerate(found)}
    kept = [keep_replaced(files[name], front_text(front)) for name, (front, _) in found.items()]
    for name, (front, _) in found.items():
        front.write(files[name])
    _remove_journals(journals)
    if as_json:
        print_json({"fronts": [_as_json(name, files[name], *found[name]) for name in found]})
        return
    for name, (front, proof) in found.items():
        which = f"{name}: " if len(found) > 1 else ""
        _show(front, which, files[name], has_numbers=folder is not None and files[name] == folder.front_path)
        if proof is not None:
            echo(_proof_in_words(proof))
    for earlier in filter(None, kept):
        remark(f"the front before is kept as {earlier}")
    if folder and path == folder.front_path:
        given = [word for lut in luts for word in ("--lut", lut)]
        remark(f"next: {told_command('verify' if luts else 'report', '--run', folder.path, *given)}")


def _read_objectives(
    space: SearchSpace, folder: RunFolder | None, luts: tuple[Path, ...], predictor: Path | None, request: _Request
) -> NamedObjectives:
    from ofa_hw.lut import LatencyTable
    from ofa_hw.predictor import AccuracyPredictor, find_predictor
    from ofa_hw.search import NamedObjectives, name_tables, narrow_space

    needs_top1 = not request.objectives or "top1" in {*request.objectives, *(name for name, _ in request.bounds)}
    tables = name_tables([LatencyTable.read(lut) for lut in luts])
    known: AccuracyPredictor | None = None
    if needs_top1:
        if predictor is None and folder is None:
            raise click.UsageError("give a predictor by --predictor, since a space alone has none")
        if predictor is not None:
            known = find_predictor(predictor, space)
        elif folder is not None:
            known = AccuracyPredictor.load(folder.require(folder.predictor_path, "ofa-hw fit"))
    narrowed = narrow_space(space, known, list(tables.values()))
    if narrowed != space:
        remark(f"searching at {', '.join(map(str, narrowed.resolutions))} px, which predictor and tables all know")
    return NamedObjectives.of(narrowed, known, tables)


def _search(named: NamedObjectives, request: _Request, journals: Path) -> dict[str, tuple[ParetoFront, Proof | None]]:
    """Return the front, or the robust one and each device's, with what is known of how good it is."""
    from ofa_hw.search import ParetoFront
    from ofa_hw.search.find import describe_front
    from ofa_hw.search.many_devices import ROBUST, device_problems, robust_problem, search_devices, shown_beside
    from ofa_hw.search.objectives import SearchProblem
    from ofa_hw.search.proof import prove_front

    limits, robust = _limits(named, request), None
    if len(named.latencies) > 1 and not request.objectives:
        problems = device_problems(named, limits)
        robust = functools.partial(robust_problem, named, limits)
    else:
        objectives = tuple(named[name] for name in request.objectives or ("top1", "latency"))
        problems = {"front": SearchProblem(space=named.space, objectives=objectives, limits=limits)}
    start = ParetoFront.read(request.start, named.space).archs if request.start else []
    with show_progress() as progress:
        fronts = search_devices(
            problems,
            robust=robust,
            num_evaluations=request.evaluations,
            seed=request.seed,
            start=start,
            journal=journals,
            progress=progress,
        )
    found: dict[str, tuple[ParetoFront, Proof | None]] = {}

    def describe(name: str, problem: SearchProblem) -> Genes:
        proof = prove_front(problem, fronts[name].genes) if request.prove else None
        genes = fronts[name].genes if proof is None else proof.genes
        shown, num_evaluations = shown_beside(problem, named), fronts[name].num_evaluations
        front = describe_front(problem, genes, shown=shown, num_evaluations=num_evaluations)
        found[name] = (_with_latency(front, name, named), proof)
        return genes

    own = {name: describe(name, problem) for name, problem in problems.items()}
    if robust:
        describe(ROBUST, robust(own))
    return {name: found[name] for name in fronts}


def _with_latency(front: ParetoFront, name: str, named: NamedObjectives) -> ParetoFront:
    """Return a front of many devices with its own device's latency, or the first's, under the plain name."""
    if len(named.latencies) < 2:
        return front
    device = name if name in named.latencies else next(iter(named.latencies))
    return front.renamed(named.latencies[device].name, "latency")


def _limits(named: NamedObjectives, request: _Request) -> tuple[Limit, ...]:
    from ofa_hw.search.quantities import QuantityError

    try:
        limits = named.limits(request.bounds, confidence=request.confidence)
    except QuantityError as error:
        raise click.UsageError(str(error)) from error
    if request.confidence is not None and all(limit.confidence is None for limit in limits):
        raise click.UsageError("--confidence needs a limit of latency or top-1 to keep: --max-latency or --min-top1")
    return limits


def _remove_journals(path: Path) -> None:
    for journal in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        journal.unlink()


def _as_json(name: str, path: Path, front: ParetoFront, proof: Proof | None) -> dict[str, object]:
    facts: dict[str, object] = {"name": name, "file": str(path)}
    if proof is not None:
        facts["proof"] = {
            "kind": proof.kind,
            "gap": proof.gap,
            "num_scored": proof.num_scored,
            "is_complete": proof.is_complete,
        }
    return {**facts, **front.head(), "networks": front.to_rows()}


def _proof_in_words(proof: Proof) -> str:
    gap = f"{100 * proof.gap:.4f} %"
    if proof.kind == "exact":
        return f"this is the true front; the search lacked {gap} of its hypervolume"
    if not proof.is_complete:
        return f"{proof.num_scored:,} single changes brought {gap} of hypervolume, and more may: search on with --start"
    return f"no single change of any network improves this front: {proof.num_scored:,} scored, which brought {gap}"


def _show(front: ParetoFront, which: str, path: Path, *, has_numbers: bool) -> None:
    """Print networks along the front, sorted as it is; those of pareto.csv with the numbers that `--pick` takes."""
    num = min(len(front), ROWS_SHOWN)
    rows = sorted({round(step * (len(front) - 1) / max(num - 1, 1)) for step in range(num)})
    shown = f"{len(rows)} of {len(front)}" if len(rows) < len(front) else f"{len(front)}"
    print_table(
        (*(["number"] if has_numbers else []), "network", *(column.title for column in front.columns)),
        [
            (
                *([row + 1] if has_numbers else []),
                front.archs[row].arch_id,
                *(_rounded(column, row) for column in front.columns),
            )
            for row in rows
        ],
        title=f"{which}{shown} networks in {path}",
    )


def _rounded(column: FrontColumn, row: int) -> str:
    value = column.values[row]
    if column.name == "top1":
        return f"{100 * value:.2f} %"
    if column.unit == "ms" and abs(value) < 1:
        return f"{value:.4g}"  # 9 µs are 0.009357 ms
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3f}"
