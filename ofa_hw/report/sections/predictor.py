"""The accuracy predictor: how far its ranking and its numbers can be trusted."""

from __future__ import annotations

import functools

from ofa_hw.report.charts import HELD_OUT_SERIES, held_out_chart, learning_chart
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import percent


def predictor_section(results: RunResults) -> Section | None:
    """Return what the predictor is worth on subnets that it had not seen; None before `ofa-hw fit`."""
    if not results.predictor:
        return None
    figures = results.predictor["figures"]
    return Section(
        anchor="predictor",
        title="Can the predictor be trusted?",
        about=(
            f"{int(figures['num_samples'])} subnets were evaluated on the validation images, and each was predicted by "
            "models that had not seen it. The search relies on their order, so Kendall's tau matters most: 1 is the "
            "same order, 0 is chance."
        ),
        figures=(*_held_out_figures(results), *_learning_figures(results)),
        tables=(_figures_table(results),),
    )


def _held_out_figures(results: RunResults) -> tuple[ChartPlace, ...]:
    held_out = results.held_out
    if not len(held_out):
        return ()
    share = held_out["top1_measured"].between(held_out["low"], held_out["high"]).mean()
    return (
        ChartPlace(
            name="held-out",
            title="Predicted and measured top-1 of unseen subnets",
            series=HELD_OUT_SERIES,
            description=(
                f"Scatter plot of predicted against measured top-1 of {len(held_out)} subnets; the measured value lies "
                f"in the 90 % interval of {percent(share)} of them."
            ),
            draw=functools.partial(held_out_chart, held_out),
            note="The line is equality. What is measured is uncertain itself: it is of some hundred images.",
        ),
    )


def _learning_figures(results: RunResults) -> tuple[ChartPlace, ...]:
    learning = results.learning
    if not len(learning):
        return ()
    last = learning.iloc[-1]
    return (
        ChartPlace(
            name="learning",
            title="What more evaluated subnets would bring",
            series={},
            description=(
                f"Line chart of the error on unseen subnets against the number learnt from; with "
                f"{int(last['num_samples'])} it is {last['rmse_points']:.2f} points."
            ),
            draw=functools.partial(learning_chart, learning),
            note="The number at a point is Kendall's tau. Where the line is flat, more samples bring nothing.",
        ),
    )


def _figures_table(results: RunResults) -> Table:
    figures = results.predictor["figures"]
    rows = (
        ("Kendall tau", f"{figures['kendall_tau']:.2f}"),
        ("error of top-1 (root mean square), points", f"{100 * figures['top1_rmse']:.2f}"),
        ("measured value in the 90 % interval", percent(figures["coverage_90"])),
        ("evaluated subnets", f"{int(figures['num_samples']):,}"),
    )
    model = f"{results.predictor.get('model', 'model')} of {results.predictor.get('score', 'score')}"
    return Table(
        name="predictor-figures",
        title=f"On unseen subnets ({model})",
        columns=(Column(title="what", is_number=False), Column(title="value")),
        rows=tuple(Row(cells=row) for row in rows),
    )
