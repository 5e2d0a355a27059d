"""The front's networks for real: fine-tuned, exported, timed, what was predicted beside what was measured."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ofa_hw import __version__
from ofa_hw.blocks import block_specs
from ofa_hw.errors import RunError
from ofa_hw.export import ExportCheck, describe, export_subnet
from ofa_hw.files import sha256_of, write_text
from ofa_hw.lut import LatencyTable, draw_networks
from ofa_hw.nn import build_subnet, fold_chain
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.profiling import MeasurementPlan, Profiler, Workload, measure_networks
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.checkpoint import read_weights, save_weights
from ofa_hw.training.cpu import one_core_pool
from ofa_hw.training.evaluate import SubnetJudge, corner_archs, predict_logits, score_logits
from ofa_hw.training.finetune import FinetuneConfig, finetune
from ofa_hw.training.runs import Images, load_supernet, open_images, training_config


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
    images are seen here alone, before and after fine-tuning.
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
    exported_test_top1_agreement: float
    exported_max_logit_error: float


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
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> Verification:
    """Return what the networks of `predictions` really reach; write verified.csv, whole_nets.csv and their files.

    Each is extracted from the supernet, fine-tuned (`tuning` None: not), scored on the validation and test images,
    exported as .tflite and compared with torch on every test image. Then all are timed whole on the device of
    `profiler`, with `num_random` other networks of the space, in the same rounds.

    Raises:
        RunError: the supernet is not trained.
        ExportError: a file does not compute what the network computes.
        DeviceError: the device fails.
    """
    if not predictions:
        raise RunError("there must be a network to verify; run `ofa-hw search` first")
    bench = _Bench(run, tuning, seed=seed, num_workers=num_workers)
    nets = bench.prepare([prediction.arch for prediction in predictions], progress)
    verified_archs = {prediction.arch for prediction in predictions}
    rng = np.random.default_rng([seed, 0x7E57])
    drawn = draw_networks(run.space, num_random + len(nets) + 2, rng)[2:]  # the first two are not random
    others = [arch for arch in drawn if arch not in verified_archs]
    archs = [*(prediction.arch for prediction in predictions), *others[:num_random]]
    workloads = [net.workload for net in nets] + [Workload.of_network(run.space, arch) for arch in archs[len(nets) :]]
    measured = measure_networks(profiler, workloads, plan, progress=progress, seed=seed)
    genes = run.space.encode(archs)
    sums, predicted = table.sum_ms(run.space, genes), table.latency_ms(run.space, genes)
    whole_nets = tuple(
        WholeNet(
            arch_id=arch.arch_id,
            origin="verified" if arch in verified_archs else "random",
            sum_ms=float(sums[index]),
            predicted_ms=float(predicted[index]),
            measured_ms=measured[index].median_ms,
        )
        for index, arch in enumerate(archs)
    )
    verified = tuple(
        VerifiedNet(
            arch_id=prediction.arch.arch_id,
            arch=prediction.arch.to_json(),
            predicted_top1=prediction.top1,
            val_top1=net.val_top1,
            test_top1_before=net.test_top1_before,
            test_top1=net.test_top1,
            num_test_images=len(bench.images.test),
            predicted_latency_ms=prediction.latency_ms,
            measured_latency_ms=timing.median_ms,
            measured_latency_low_ms=timing.ci_low_ms,
            measured_latency_high_ms=timing.ci_high_ms,
            exported=str(net.check.path.relative_to(run.path)),
            exported_test_top1_agreement=net.check.top1_agreement,
            exported_max_logit_error=net.check.max_logit_error,
        )
        for prediction, net, timing in zip(predictions, nets, measured, strict=False)
    )
    _write_csv(run.verified_path, verified)
    _write_csv(run.whole_nets_path, whole_nets)
    return Verification(nets=verified, whole_nets=whole_nets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PreparedNet:
    val_top1: float
    test_top1_before: float
    test_top1: float
    check: ExportCheck
    workload: Workload


class _Bench:
    """Makes networks of the supernet ready: tuned, scored, written."""

    def __init__(self, run: RunFolder, tuning: FinetuneConfig | None, *, seed: int, num_workers: int) -> None:
        self.run, self.space = run, run.space
        self.tuning, self.seed, self.num_workers = tuning, seed, num_workers
        self.images: Images = open_images(run)
        self.judge = SubnetJudge(
            load_supernet(run),
            self.images.train,
            self.images.val,
            num_calibration_images=training_config(run).num_calibration_images,
            checkpoint=sha256_of(run.supernet_path),
        )
        self.teacher = self.judge.calibrated(self.space.largest).requires_grad_(False)

    def prepare(self, archs: Sequence[ArchConfig], progress: ProgressCallback) -> list[_PreparedNet]:
        """Return each of `archs` made ready; `num_workers` threads of one core each share the work."""
        pool = one_core_pool(self.num_workers)
        nets = []
        try:
            for net in pool.map(self.prepare_one, archs):
                nets.append(net)
                progress("fine-tune and export", len(nets), len(archs))
        finally:
            pool.shutdown(cancel_futures=True)
        return nets

    def prepare_one(self, arch: ArchConfig) -> _PreparedNet:
        subnet = self.judge.calibrated(arch)
        val_top1, before = self.top1(subnet, arch, "val"), self.top1(subnet, arch, "test")
        if self.tuning is not None:
            finetune(subnet, self.teacher, self.images.train, arch.resolution, self.tuning, seed=self.seed)
            save_weights(weights_path(self.run, arch), subnet.state_dict(), {"arch": arch.to_json()})
        check = export_subnet(
            subnet,
            self.space,
            arch,
            self.run.exported_path / f"{arch.arch_id}.tflite",
            images=torch.cat(list(self.images.test.all_at(arch.resolution, 250))),
            metadata=export_metadata(self.run, is_finetuned=self.tuning is not None),
        )
        return _PreparedNet(
            val_top1=val_top1,
            test_top1_before=before,
            test_top1=self.top1(subnet, arch, "test"),
            check=check,
            workload=_workload(self.space, arch, subnet),
        )

    def top1(self, subnet: nn.Module, arch: ArchConfig, split: str) -> float:
        images = getattr(self.images, split)
        return score_logits(predict_logits(subnet, images, arch.resolution), images.labels).top1


def corner_test_top1(run: RunFolder) -> dict[str, float]:
    """Return the top-1 of the largest, middle and smallest subnet of `run` on the test images, not fine-tuned."""
    bench = _Bench(run, None, seed=0, num_workers=1)
    return {
        name: bench.top1(bench.judge.calibrated(arch), arch, "test") for name, arch in corner_archs(run.space).items()
    }


def load_chosen(run: RunFolder, arch: ArchConfig) -> tuple[nn.Sequential, bool]:
    """Return `arch` as a network with the best weights that `run` has, and whether these are fine-tuned.

    Raises:
        RunError: the supernet is not trained, or the weights are damaged.
        InvalidInputError: `arch` is not of the space of the run.
    """
    run.space.validate(arch)
    path = weights_path(run, arch)
    if not path.exists():
        return _Bench(run, None, seed=0, num_workers=1).judge.calibrated(arch), False
    subnet = build_subnet(run.space, arch)
    subnet.load_state_dict(read_weights(path, subnet.state_dict()))
    return subnet.eval(), True


@dataclasses.dataclass(frozen=True, kw_only=True)
class TunedNet:
    """A fine-tuned subnet, its top-1 on the validation and test images before and after, and where its weights are."""

    arch_id: str
    val_top1_before: float
    val_top1: float
    test_top1_before: float
    test_top1: float
    weights: str


def finetune_chosen(
    run: RunFolder,
    arch: ArchConfig,
    config: FinetuneConfig,
    *,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> TunedNet:
    """Fine-tune `arch` from the supernet's weights, taught by its largest network; keep the weights for `export`.

    Raises:
        RunError: the supernet is not trained, or the loss is no longer finite.
        InvalidInputError: `arch` is not of the space of the run.
    """
    run.space.validate(arch)
    bench = _Bench(run, config, seed=seed, num_workers=1)
    subnet = bench.judge.calibrated(arch)
    before = {split: bench.top1(subnet, arch, split) for split in ("val", "test")}
    finetune(subnet, bench.teacher, bench.images.train, arch.resolution, config, seed=seed, progress=progress)
    path = weights_path(run, arch)
    save_weights(path, subnet.state_dict(), {"arch": arch.to_json()})
    return TunedNet(
        arch_id=arch.arch_id,
        val_top1_before=before["val"],
        val_top1=bench.top1(subnet, arch, "val"),
        test_top1_before=before["test"],
        test_top1=bench.top1(subnet, arch, "test"),
        weights=str(path),
    )


def weights_path(run: RunFolder, arch: ArchConfig) -> Path:
    """Return where the fine-tuned weights of `arch` are kept."""
    return run.exported_path / f"{arch.arch_id}.safetensors"


def export_metadata(run: RunFolder, *, is_finetuned: bool) -> Mapping[str, str]:
    """Return what an exported file tells its user: labels, normalisation, and where its weights come from."""
    data, training = run.config["data"], run.config.get("training", {})
    provenance = {
        "tool": f"ofa-hw {__version__}, torch {torch.__version__}",
        "run": run.path.resolve().name,
        "images": Path(data.get("source", "unknown")).name,
        "training_seed": training.get("seed"),
        "supernet_sha256": sha256_of(run.supernet_path),
        "weights": "fine-tuned for this network" if is_finetuned else "as in the supernet",
    }
    size = {"image_size": str(data.get("image_size", run.space.resolutions[-1]))}
    return {**describe(data["classes"], data["mean"], data["std"]), **size, "provenance": json.dumps(provenance)}


def _workload(space: SearchSpace, arch: ArchConfig, subnet: nn.Sequential) -> Workload:
    specs = block_specs(space, arch)
    return Workload(name=arch.arch_id, specs=specs, blocks=fold_chain(specs, subnet))


def _write_csv(path: Path, rows: Sequence[VerifiedNet] | Sequence[WholeNet]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(rows[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    write_text(path, text.getvalue())
