"""`ofa-hw search`: the networks worth having."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_hw.cli.console import print_json, print_table, remark, show_progress
from ofa_hw.cli.options import json_option, run_option, seed_option

if TYPE_CHECKING:
    from ofa_hw.cost import Objective
    from ofa_hw.search import ParetoFront

_FILE = click.Path(dir_okay=False, path_type=Path)
ROWS_SHOWN = 20


class Quantity(click.ParamType[float]):
    """A number with a suffix, such as 30ms or 5M."""

    def __init__(self, unit: str) -> None:
        self.name, self.unit = unit, unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number in the parameter's unit."""
        from ofa_hw.errors import InvalidInputError
        from ofa_hw.search.quantities import read_quantity

        try:
            return read_quantity(str(value), self.unit)
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


@click.command()
@run_option
@click.option("--lut", type=_FILE, required=True, help="The device's latency table.")
@click.option(
    "--predictor", type=click.Path(file_okay=False, path_type=Path), help="Folder of a predictor.  [default: the run's]"
)
@click.option("--max-latency", type=Quantity("ms"), metavar="TIME", help="Slower networks are no answer: 30ms.")
@click.option("--max-macs", type=Quantity("count"), metavar="COUNT", help="Limit of multiply-accumulates: 300M.")
@click.option("--max-params", type=Quantity("count"), metavar="COUNT", help="Limit of parameters: 5M.")
@click.option("--min-top1", type=Quantity("fraction"), metavar="FRACTION", help="Least predicted top-1: 76% or 0.76.")
@click.option("--evaluations", type=click.IntRange(min=1), default=20_000, show_default=True, help="Networks to score.")
@click.option("--out", type=_FILE, help="The front.  [default: pareto.csv in the run]")
@seed_option
@json_option
def command(
    run: Path | None,
    lut: Path,
    predictor: Path | None,
    max_latency: float | None,
    max_macs: float | None,
    max_params: float | None,
    min_top1: float | None,
    evaluations: int,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Search the front of accuracy and latency.

    Accuracy is the predictor's, latency the table's; no network is run. A limit that no network can keep is told at
    once, with the least there is.

    \b
    Example:
      ofa-hw search --lut lut/host.csv --max-latency 2ms
    """
    from ofa_hw.cost import LutLatency, Macs, Params
    from ofa_hw.lut import LatencyTable
    from ofa_hw.predictor import AccuracyPredictor
    from ofa_hw.run import RunFolder
    from ofa_hw.search import Limit, SearchProblem, Top1, narrow_space, search_front

    folder = RunFolder.open(run)
    table = LatencyTable.read(lut)
    known = AccuracyPredictor.load(predictor or folder.require(folder.predictor_path, "ofa-hw fit"))
    space = narrow_space(folder.space, known, [table])
    if space != folder.space:
        remark(f"searching at {', '.join(map(str, space.resolutions))} px, which predictor and table both know")
    top1, latency = Top1(space=space, predictor=known), LutLatency(space=space, table=table)
    bounds: list[tuple[Objective, float | None]] = [
        (latency, max_latency),
        (Macs(space=space), max_macs),
        (Params(space=space), max_params),
        (top1, min_top1),
    ]
    limits = tuple(Limit(objective=objective, bound=bound) for objective, bound in bounds if bound is not None)
    problem = SearchProblem(space=space, objectives=(top1, latency), limits=limits)
    with show_progress() as progress:
        front = search_front(problem, num_evaluations=evaluations, seed=seed, on_progress=progress)
    path = out or folder.front_path
    front.write(path)
    if as_json:
        print_json({"front": str(path), "num_evaluations": front.num_evaluations, "networks": front.to_rows()})
        return
    _show(front, f"{len(front)} networks in {path}")
    remark(f"next: ofa-hw verify --run {folder.path}")


def _show(front: ParetoFront, title: str) -> None:
    """Print networks along the front, from the fastest to the slowest."""
    num = min(len(front), ROWS_SHOWN)
    rows = sorted({round(step * (len(front) - 1) / max(num - 1, 1)) for step in range(num)})
    top1, latency, macs, params = (front.values(name) for name in ("top1", "latency", "macs", "params"))
    print_table(
        ("network", "top-1, predicted", "latency, predicted, ms", "MACs, M", "parameters, k"),
        [
            (
                front.archs[row].arch_id,
                f"{100 * top1[row]:.2f} %",
                f"{latency[row]:.3f}",
                f"{macs[row] / 1e6:.1f}",
                f"{params[row] / 1e3:.0f}",
            )
            for row in rows
        ],
        title=title,
    )
