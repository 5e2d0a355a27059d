"""The figures of a run: numbers with a unit and a direction, for tiles, tables and benchmark.json."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ofa_hw.bench import Metric
from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl
from ofa_hw.report.results import RunResults
from ofa_hw.run import RunFolder


def note_figure(run: RunFolder, figure: Metric) -> None:
    """Keep a figure that no other file of the run tells, such as the time of a demo; the last of a name counts."""
    append_jsonl(_noted_path(run.path), dataclasses.asdict(figure))


def noted_figures(path: Path) -> list[Metric]:
    """Return the figures that were kept in the run folder at `path`, each name once.

    Raises:
        RunError: naming the line that is not a figure.
    """
    noted: dict[str, Metric] = {}
    for number, row in enumerate(read_jsonl(_noted_path(path)), start=1):
        try:
            figure = Metric(**row)
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{_noted_path(path)}, line {number}: must be a figure ({error}); remove the line"
            ) from error
        noted[figure.name] = figure
    return list(noted.values())


def _noted_path(path: Path) -> Path:
    return path / "figures.jsonl"


def figures_of(results: RunResults) -> list[Metric]:
    """Return the figures that the files of the run allow, in the order of the work."""
    return [
        *_training_figures(results),
        *_predictor_figures(results),
        *_latency_figures(results),
        *_verified_figures(results),
        *noted_figures(results.path),
    ]


def _training_figures(results: RunResults) -> list[Metric]:
    phases = results.phases
    if not len(phases):
        return []
    last = phases[phases["index"] == phases["index"].max()]
    figures = [
        Metric(
            name="train_seconds",
            title="Training",
            value=float(phases["seconds"].max()),
            unit="s",
            smaller_is_better=True,
        )
    ]
    for row in last.to_dict("records"):
        figures.append(
            Metric(
                name=f"val_top1_{row['subnet']}",
                title=f"Top-1 of the {row['subnet']} subnet, validation images",
                value=row["top1"],
                unit="fraction",
                smaller_is_better=False,
            )
        )
    return figures


def _predictor_figures(results: RunResults) -> list[Metric]:
    if not results.predictor:
        return []
    held_out, num = results.predictor["figures"], int(results.predictor["figures"]["num_samples"])
    score = results.predictor.get("score", "score")
    return [
        Metric(
            name="predictor_kendall_tau",
            title=f"Accuracy predictor, Kendall tau on held-out subnets ({score})",
            value=held_out["kendall_tau"],
            unit="tau",
            smaller_is_better=False,
            num=num,
        ),
        Metric(
            name="predictor_top1_rmse",
            title="Accuracy predictor, root mean square error of top-1 on held-out subnets",
            value=held_out["top1_rmse"],
            unit="fraction",
            smaller_is_better=True,
            num=num,
        ),
    ]


def _latency_figures(results: RunResults) -> list[Metric]:
    nets = results.whole_nets
    if not len(nets):
        return []
    figures = []
    for name, column, source in (
        ("whole_net_latency", "predicted_ms", "calibrated prediction"),
        ("whole_net_sum", "sum_ms", "plain sum of blocks"),
    ):
        errors = (nets[column] / nets["measured_ms"] - 1).abs()
        for statistic, value in (("median", errors.median()), ("worst", errors.max())):
            figures.append(
                Metric(
                    name=f"{name}_{statistic}_error",
                    title=f"Latency of whole networks, {source} against measured, {statistic} error",
                    value=float(value),
                    unit="fraction",
                    smaller_is_better=True,
                    num=len(nets),
                )
            )
    return figures


def _verified_figures(results: RunResults) -> list[Metric]:
    nets = results.verified
    if not len(nets):
        return []
    num = len(nets)
    return [
        Metric(
            name="verified_top1_best",
            title="Best verified network, top-1 on the test images",
            value=float(nets["test_top1"].max()),
            unit="fraction",
            smaller_is_better=False,
            num=num,
        ),
        Metric(
            name="verified_top1_gain",
            title="Gain of top-1 by fine-tuning, mean of the verified networks",
            value=float((nets["test_top1"] - nets["test_top1_before"]).mean()),
            unit="fraction",
            smaller_is_better=False,
            num=num,
        ),
        *(
            Metric(
                name=f"verified_top1_error_{split}",
                title=f"Predicted top-1 against the {split} images, before fine-tuning, mean error",
                value=float((nets["predicted_top1"] - nets[column]).abs().mean()),
                unit="fraction",
                smaller_is_better=True,
                num=num,
            )
            for split, column in (("validation", "val_top1"), ("test", "test_top1_before"))
        ),
    ]
