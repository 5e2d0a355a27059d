"""The front's networks for real: fine-tuned, exported, timed, what was predicted beside what was measured."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofa_hw.deploy.prepared import Preparation
from ofa_hw.deploy.trained import TrainedRun
from ofa_hw.errors import RunError
from ofa_hw.export import format_for
from ofa_hw.files import write_text
from ofa_hw.lut import LatencyTable, draw_networks
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.profiling import MeasurementPlan, NetworkMeasurement, Profiler, Workload, measure_networks
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training.finetune import FinetuneConfig

FALLBACK_FORMAT = "pt2"
"""What is exported for a runtime that opens no file of a format here, or none of its numbers: torch is always there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the search promised of one network: top-1 as a fraction, latency in milliseconds."""

    arch: ArchConfig
    top1: float
    latency_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifiedNet:
    """One network of the front, predicted and measured; every top-1 is a fraction.

    `val_top1` is that of the images which the predictor learnt of, before fine-tuning: the figure it predicts. The test
    images are seen here alone, before and after fine-tuning. These are torch's, `exported_test_top1` is the file's own.
    `is_file_timed` says whether the exported file is what was timed, or the network as the profiler builds it.
    """

    arch_id: str
    arch: str
    predicted_top1: float
    val_top1: float
    test_top1_before: float
    test_top1: float
    num_test_images: int
    predicted_latency_ms: float
    measured_latency_ms: float
    measured_latency_low_ms: float
    measured_latency_high_ms: float
    exported: str
    exported_format: str
    exported_test_top1: float
    exported_test_top1_agreement: float
    exported_max_logit_error: float
    is_file_timed: bool
    device: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class WholeNet:
    """A whole network beside its table: the sum of its blocks, the calibrated prediction, what was measured, in ms."""

    arch_id: str
    origin: str
    sum_ms: float
    predicted_ms: float
    measured_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """The front's networks, and all the networks that were timed whole: the front's and random ones."""

    nets: tuple[VerifiedNet, ...]
    whole_nets: tuple[WholeNet, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the networks and the figures as plain values."""
        return {**dataclasses.asdict(self), "figures": self.figures}

    @property
    def figures(self) -> dict[str, float]:
        """The errors of prediction: relative for latency, in points for top-1, and what fine-tuning gained."""
        errors = np.array([abs(net.predicted_ms / net.measured_ms - 1) for net in self.whole_nets])
        points = np.array([100 * abs(net.predicted_top1 - net.val_top1) for net in self.nets])
        test_points = np.array([100 * abs(net.predicted_top1 - net.test_top1_before) for net in self.nets])
        gains = np.array([100 * (net.test_top1 - net.test_top1_before) for net in self.nets])
        return {
            "latency_median_error": float(np.median(errors)),
            "latency_worst_error": float(errors.max()),
            "top1_mean_error_points": float(points.mean()),
            "top1_mean_error_points_on_test": float(test_points.mean()),
            "finetuning_mean_gain_points": float(gains.mean()),
        }


def predict(run: RunFolder, archs: Sequence[ArchConfig], table: LatencyTable) -> list[Prediction]:
    """Return what the predictor of `run` and `table` promise of each of `archs`, in their order.

    Raises:
        RunError: the predictor is missing or damaged.
        TableError: the table lacks a block.
    """
    predictor = AccuracyPredictor.load(run.require(run.predictor_path, "ofa-hw fit"))
    genes = run.space.encode(archs)
    top1, _ = predictor.predict(genes)
    latency_ms = table.latency_ms(run.space, genes)
    return [
        Prediction(arch=arch, top1=float(top1[index]), latency_ms=float(latency_ms[index]))
        for index, arch in enumerate(archs)
    ]


def pick_along(predictions: Sequence[Prediction], num: int) -> list[Prediction]:
    """Return `num` of `predictions`, evenly spaced from the fastest to the slowest; all where there are fewer."""
    ordered = sorted(predictions, key=lambda prediction: prediction.latency_ms)
    if len(ordered) <= num:
        return ordered
    return [ordered[index] for index in np.linspace(0, len(ordered) - 1, num).round().astype(int)]


def verify_run(
    run: RunFolder,
    predictions: Sequence[Prediction],
    table: LatencyTable,
    profiler: Profiler,
    *,
    num_random: int = 20,
    tuning: FinetuneConfig | None = None,
    plan: MeasurementPlan | None = None,
    num_workers: int = 2,
    cache_bytes: int | None = None,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> Verification:
    """Return what the networks of `predictions` really reach; write verified.csv, whole_nets.csv and their files.

    Each is extracted from the supernet, fine-tuned (`tuning` None: not), scored on the validation and test images,
    exported in the format and of the numbers that `table` is of, and compared with torch on every test image. Then all
    are timed whole on the device of `profiler`, the exported files themselves where it opens them, with `num_random`
    other networks of the space, in the same rounds. A network that is ready is kept: the same call, made again after
    it was interrupted, goes on from there.

    Raises:
        RunError: the supernet is not trained.
        ExportError: a file does not compute what the network computes.
        DeviceError: the device fails.
    """
    if not predictions:
        raise RunError("there must be a network to verify; run `ofa-hw search` first")
    conditions = table.conditions
    plan = plan or MeasurementPlan(
        dtype=conditions.dtype, batch_size=conditions.batch_size, num_threads=conditions.num_threads
    )
    format_name = format_for(profiler.model_suffixes, conditions.dtype)
    preparation = Preparation(
        TrainedRun(run, cache_bytes=cache_bytes), tuning, format_name or FALLBACK_FORMAT, seed=seed
    )
    verified_archs = [prediction.arch for prediction in predictions]
    nets = preparation.prepare(verified_archs, num_workers, progress)
    others = _others(run, verified_archs, num_random, seed)
    # A file holds one image at a time; what the runtime has no file for, its profiler builds.
    is_file_timed = format_name is not None and plan.batch_size == 1
    workloads = [preparation.workload(net, of_file=is_file_timed) for net in nets]
    workloads += [Workload.of_network(run.space, arch) for arch in others]
    measured = measure_networks(profiler, workloads, plan, progress=progress, seed=seed)
    whole_nets = _whole_nets(run, table, verified_archs, others, measured)
    verified = tuple(
        VerifiedNet(
            arch_id=prediction.arch.arch_id,
            arch=prediction.arch.to_json(),
            predicted_top1=prediction.top1,
            val_top1=net.val_top1,
            test_top1_before=net.test_top1_before,
            test_top1=net.test_top1,
            num_test_images=net.check.num_images,
            predicted_latency_ms=prediction.latency_ms,
            measured_latency_ms=timing.median_ms,
            measured_latency_low_ms=timing.ci_low_ms,
            measured_latency_high_ms=timing.ci_high_ms,
            exported=str(net.check.path.relative_to(run.path)),
            exported_format=net.check.format,
            exported_test_top1=net.test_top1_of_file,
            exported_test_top1_agreement=net.check.top1_agreement,
            exported_max_logit_error=net.check.max_logit_error,
            is_file_timed=is_file_timed,
            device=table.device,
        )
        for prediction, net, timing in zip(predictions, nets, measured, strict=False)
    )
    for net, timing in zip(nets, measured, strict=False):
        preparation.write_card(net, _timing_in_words(timing, is_file_timed=is_file_timed))
    _write_csv(run.whole_nets_path, map(dataclasses.asdict, whole_nets))
    elsewhere = _verified_on_others(run.verified_path, table.device)
    # The last: where it is, all is.
    _write_csv(run.verified_path, [*elsewhere, *map(dataclasses.asdict, verified)])
    preparation.forget()
    return Verification(nets=verified, whole_nets=whole_nets)


def _others(run: RunFolder, verified: Sequence[ArchConfig], num: int, seed: int) -> list[ArchConfig]:
    """Return `num` random networks of the space that are none of `verified`."""
    rng = np.random.default_rng([seed, 0x7E57])
    drawn = draw_networks(run.space, num + len(verified) + 2, rng)[2:]  # the first two are not random
    return [arch for arch in drawn if arch not in set(verified)][:num]


def _whole_nets(
    run: RunFolder,
    table: LatencyTable,
    verified: Sequence[ArchConfig],
    others: Sequence[ArchConfig],
    measured: Sequence[NetworkMeasurement],
) -> tuple[WholeNet, ...]:
    archs = [*verified, *others]
    genes = run.space.encode(archs)
    sums, predicted = table.sum_ms(run.space, genes), table.latency_ms(run.space, genes)
    return tuple(
        WholeNet(
            arch_id=arch.arch_id,
            origin="verified" if index < len(verified) else "random",
            sum_ms=float(sums[index]),
            predicted_ms=float(predicted[index]),
            measured_ms=measured[index].median_ms,
        )
        for index, arch in enumerate(archs)
    )


def _timing_in_words(timing: NetworkMeasurement, *, is_file_timed: bool) -> str:
    """Return how fast a network is, and what was timed."""
    where = timing.conditions
    threads = f"{where.num_threads} thread{'s' if where.num_threads > 1 else ''}"
    text = (
        f"{timing.median_ms:.4g} ms ({timing.ci_low_ms:.4g}–{timing.ci_high_ms:.4g}, 95 % interval of the median), "
        f"measured whole on the device {where.device} in {where.runtime} {where.runtime_version}, {where.dtype}, "
        f"{threads}, batches of {where.batch_size}."
    )
    if is_file_timed:
        return f"{text} This file is what was timed."
    return f"{text} It is the network as the profiler of {where.runtime} builds it that was timed, and not this file."


def _verified_on_others(path: Path, device: str) -> list[dict[str, Any]]:
    """Return the rows of networks that were verified on other devices, as they stand in the file."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return [row for row in rows if row.get("device", device) != device]


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[-1]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
