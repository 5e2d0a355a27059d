"""Latency: how far the table's promises can be trusted, and what each block costs."""

from __future__ import annotations

import functools

from ofa_hw.report.charts import WHOLE_NET_SERIES, whole_net_errors_chart, whole_nets_chart
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import percent


def latency_section(results: RunResults) -> Section | None:
    """Return whole networks beside their promises; None where none were timed."""
    nets = results.whole_nets
    if not len(nets):
        return None
    titles = ("origin", "networks", "sum: median error", "sum: worst", "calibrated: median error", "calibrated: worst")
    rows = []
    for origin, group in nets.groupby("origin", sort=True):
        errors = [(group[column] / group["measured_ms"] - 1).abs() for column in ("sum_ms", "predicted_ms")]
        lines = [percent(value) for error in errors for value in (error.median(), error.max())]
        rows.append(Row(cells=(str(origin), str(len(group)), *lines)))
    worst = (nets["predicted_ms"] / nets["measured_ms"] - 1).abs()
    return Section(
        anchor="latency",
        title="Can the table be trusted?",
        about=(
            f"{len(nets)} whole networks were timed on the device beside what the table of blocks promises for them. "
            "The line is equality; the bands are 5 % and 10 % to either side."
        ),
        figures=(
            ChartPlace(
                name="whole-nets",
                title="Promised and measured latency of whole networks",
                series=WHOLE_NET_SERIES,
                description=(
                    f"Scatter plot of measured against promised latency of {len(nets)} networks. The calibrated "
                    f"prediction is off by {percent(worst.median())} in the median and {percent(worst.max())} at worst."
                ),
                draw=functools.partial(whole_nets_chart, nets),
            ),
            ChartPlace(
                name="whole-net-errors",
                title="Error of the promise",
                series=WHOLE_NET_SERIES,
                description="The same networks: measured − promised, in per cent of the promise, against the promise.",
                draw=functools.partial(whole_net_errors_chart, nets),
            ),
        ),
        tables=(
            Table(
                name="whole-nets",
                title="Errors",
                columns=tuple(Column(title=title, is_number=index > 0) for index, title in enumerate(titles)),
                rows=tuple(rows),
            ),
        ),
    )
