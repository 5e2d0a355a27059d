"""Training: accuracy by phase and subnet, the loss."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ofa_hw.report.charts import SUBNET_SERIES, losses_chart, phases_chart
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import percent, points, seconds

if TYPE_CHECKING:
    import pandas as pd


def training_section(results: RunResults) -> Section | None:
    """Return the phases of training; None before the first has ended."""
    if not len(results.phases):
        return None
    phases = results.phases.sort_values("index", kind="stable")
    table = phases.pivot_table(index=["index", "phase", "seconds"], columns="subnet", values="top1").reset_index()
    subnets = [name for name in SUBNET_SERIES if name in table]
    rows = tuple(
        Row(cells=(row["phase"], *(percent(row[name]) for name in subnets), seconds(row["seconds"])))
        for row in table.to_dict("records")
    )
    columns = (
        Column(title="after the phase", is_number=False),
        *(Column(title=f"{name}, top-1") for name in subnets),
        Column(title="since the start"),
    )
    last = table.iloc[-1]
    if len(table) == 1:
        return Section(
            anchor="training",
            title="Training with all choices open",
            about="Accuracy on the validation images at the end, batch norm recalibrated, for three subnets of the one "
            "supernet.",
            figures=_loss_figures(results, note=""),
            tables=(Table(name="phases", title="Accuracy by subnet", columns=columns, rows=rows),),
        )
    return Section(
        anchor="training",
        title="Training by progressive shrinking",
        about=(
            "Accuracy on the validation images at the end of each phase, batch norm recalibrated, for three subnets "
            "of the one supernet: each phase opens smaller choices while the larger ones keep what they learnt."
        ),
        figures=(
            ChartPlace(
                name="phases",
                title="Accuracy by phase and subnet",
                series=SUBNET_SERIES,
                description="Line chart of top-1 after each phase. At the end: "
                + ", ".join(f"{name} {percent(last[name])}" for name in subnets)
                + ".",
                draw=functools.partial(phases_chart, phases),
            ),
            *_loss_figures(
                results,
                note="Each phase trains other subnets, from the second on with distillation: compare within a phase.",
            ),
        ),
        tables=(
            _gain_table(table, subnets),
            Table(name="phases", title="The numbers", columns=columns, rows=rows, folded=True),
        ),
    )


def _gain_table(table: pd.DataFrame, subnets: Sequence[str]) -> Table:
    """Return each subnet after the first phase, which trains the largest alone, and at the end."""
    first, last = table.iloc[0], table.iloc[-1]
    rows = tuple(
        Row(cells=(name, percent(first[name]), percent(last[name]), points(last[name] - first[name])))
        for name in subnets
    )
    titles = ("subnet", f"after {first['phase']}", "at the end", "gain, points")
    columns = tuple(Column(title=title, is_number=index > 0) for index, title in enumerate(titles))
    return Table(name="shrinking", title="What progressive shrinking gained", columns=columns, rows=rows)


def _loss_figures(results: RunResults, *, note: str) -> tuple[ChartPlace, ...]:
    if not len(results.losses):
        return ()
    return (
        ChartPlace(
            name="losses",
            title="Loss",
            series={},
            description="Line chart of the training loss against the images seen; rules mark where a phase begins.",
            draw=functools.partial(losses_chart, results.losses),
            note=note,
        ),
    )
