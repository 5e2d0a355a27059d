"""What a report tells of a run: its sections, made from `RunResults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofa_hw.report import charts
from ofa_hw.report.document import ChartPlace, Column, Row, Section, Table
from ofa_hw.report.figures import wilson_interval
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import milliseconds, percent, points, relative, seconds
from ofa_hw.space import ArchConfig

if TYPE_CHECKING:
    import pandas as pd


def sections_of(results: RunResults) -> list[Section]:
    """Return the sections for which the run has the files."""
    made = [_trade_off(results), _training(results), _latency(results)]
    return [section for section in made if section is not None]


# --------------------------------------------------------------------------------------------------- trade-off


def _trade_off(results: RunResults) -> Section | None:
    if not len(results.front):
        return None
    verified = with_top1_interval(results.verified)
    chart = charts.front_chart(
        results.samples, results.front, verified, width="container", legend=False, interactive=True
    )
    series = dict(charts.FRONT_SERIES)
    if not len(verified):
        series.pop("verified networks")
    tables = [_verified_table(results)] if len(verified) else []
    return Section(
        anchor="trade-off",
        title="Accuracy against latency",
        about=(
            "Each dot is a subnet of the one supernet. The line is the predicted front; a numbered network was "
            "extracted, fine-tuned, evaluated on the test images and timed whole, and a dotted line joins it to its "
            "prediction. "
            "Choose a network to see it; drag over the picture to filter the table of all networks."
        ),
        figures=(
            ChartPlace(
                name="front",
                title="",
                series=series,
                description=_front_description(results),
                chart=chart,
                note="Bars are 95 % intervals of top-1 on the test images." if len(verified) else "",
            ),
        ),
        tables=(*tables, _front_table(results)),
        has_detail=True,
    )


def with_top1_interval(verified: pd.DataFrame) -> pd.DataFrame:
    """Return `verified` with test_top1_low and test_top1_high, of the number of images that it was tested on."""
    num_images = verified["num_test_images"] if "num_test_images" in verified else [1000] * len(verified)
    ends = [wilson_interval(top1, int(num)) for top1, num in zip(verified["test_top1"], num_images, strict=True)]
    return verified.assign(test_top1_low=[low for low, _ in ends], test_top1_high=[high for _, high in ends])


def _front_description(results: RunResults) -> str:
    first, last = results.front.iloc[0], results.front.iloc[-1]
    told = (
        f"Scatter plot of top-1 against latency. The predicted front of {len(results.front)} networks goes from "
        f"{percent(first['predicted_top1'])} at {milliseconds(first['predicted_latency_ms'])} ms to "
        f"{percent(last['predicted_top1'])} at {milliseconds(last['predicted_latency_ms'])} ms."
    )
    return told + (f" {len(results.verified)} of its networks were verified." if len(results.verified) else "")


def _verified_table(results: RunResults) -> Table:
    titles = (
        "network", "top-1, predicted", "top-1, as extracted", "top-1, fine-tuned", "gain, points",
        "latency predicted, ms", "latency measured, ms", "measured against predicted", "architecture",
    )  # fmt: skip
    rows = tuple(
        Row(
            cells=(
                str(number),
                percent(net["predicted_top1"]),
                percent(net["test_top1_before"]),
                percent(net["test_top1"]),
                points(net["test_top1"] - net["test_top1_before"]),
                milliseconds(net["predicted_latency_ms"]),
                milliseconds(net["measured_latency_ms"]),
                relative(net["measured_latency_ms"] / net["predicted_latency_ms"]),
                summary_of(ArchConfig.from_json(net["arch"])),
            ),
            arch_id=net["arch_id"],
        )
        for number, net in enumerate(results.verified.to_dict("records"), start=1)
    )
    columns = tuple(Column(title=title, is_number=title not in ("network", "architecture")) for title in titles)
    return Table(name="verified", title="The verified networks", columns=columns, rows=rows)


def _front_table(results: RunResults) -> Table:
    titles = ("network", "top-1, predicted", "latency predicted, ms", "architecture")
    rows = tuple(
        Row(
            cells=(
                net["arch_id"],
                percent(net["predicted_top1"]),
                milliseconds(net["predicted_latency_ms"]),
                summary_of(ArchConfig.from_json(net["arch"])),
            ),
            arch_id=net["arch_id"],
            latency_ms=net["predicted_latency_ms"],
            top1=100 * net["predicted_top1"],
        )
        for net in results.front.to_dict("records")
    )
    columns = tuple(Column(title=title, is_number=title not in ("network", "architecture")) for title in titles)
    return Table(
        name="networks",
        title=f"All {len(rows)} networks of the predicted front",
        columns=columns,
        rows=rows,
        is_long=True,
    )


def summary_of(arch: ArchConfig) -> str:
    """Return the resolution, the depths and the kernel sizes of `arch` on one line."""
    kernels = " ".join("".join(str(block.kernel_size) for block in stage) for stage in arch.stages)
    return f"{arch.resolution} px, depths {'-'.join(map(str, arch.depths))}, kernels {kernels}"


# ---------------------------------------------------------------------------------------------------- training


def _training(results: RunResults) -> Section | None:
    if not len(results.phases):
        return None
    phases = results.phases.sort_values("index", kind="stable")
    table = phases.pivot_table(index=["index", "phase", "seconds"], columns="subnet", values="top1").reset_index()
    subnets = [name for name in charts.SUBNET_SERIES if name in table]
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
                series=charts.SUBNET_SERIES,
                description="Line chart of top-1 after each phase. At the end: "
                + ", ".join(f"{name} {percent(last[name])}" for name in subnets)
                + ".",
                chart=charts.phases_chart(phases, width="container", legend=False),
            ),
            *_loss_figures(results),
        ),
        tables=(Table(name="phases", title="The numbers", columns=columns, rows=rows, folded=True),),
    )


def _loss_figures(results: RunResults) -> tuple[ChartPlace, ...]:
    if not len(results.losses):
        return ()
    return (
        ChartPlace(
            name="losses",
            title="Loss",
            series={},
            description="Line chart of the training loss against the images seen; rules mark where a phase begins.",
            chart=charts.losses_chart(results.losses, width="container"),
            note="Each phase trains other subnets, from the second on with distillation: compare within a phase.",
        ),
    )


# ----------------------------------------------------------------------------------------------------- latency


def _latency(results: RunResults) -> Section | None:
    nets = results.whole_nets
    if not len(nets):
        return None
    titles = ("origin", "networks", "sum: median error", "sum: worst", "calibrated: median error", "calibrated: worst")
    rows = []
    for origin, group in nets.groupby("origin", sort=True):
        errors = [(group[column] / group["measured_ms"] - 1).abs() for column in ("sum_ms", "predicted_ms")]
        told = [percent(value) for error in errors for value in (error.median(), error.max())]
        rows.append(Row(cells=(str(origin), str(len(group)), *told)))
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
                series=charts.WHOLE_NET_SERIES,
                description=(
                    f"Scatter plot of measured against promised latency of {len(nets)} networks. The calibrated "
                    f"prediction is off by {percent(worst.median())} in the median and {percent(worst.max())} at worst."
                ),
                chart=charts.whole_nets_chart(nets, width="container", legend=False),
            ),
            ChartPlace(
                name="whole-net-errors",
                title="Error of the promise",
                series=charts.WHOLE_NET_SERIES,
                description="The same networks: error of the promise in per cent against measured latency.",
                chart=charts.whole_net_errors_chart(nets, width="container", legend=False),
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
