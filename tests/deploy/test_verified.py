"""Verification on a device whose times are known: each promise stands beside what came of it."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ofa_hw.blocks import unique_block_specs
from ofa_hw.deploy import (
    Prediction,
    TrainedRun,
    Verification,
    export_chosen,
    finetune_chosen,
    pick_along,
    verified,
    verify_run,
)
from ofa_hw.deploy.prepared import Preparation, PreparedNet
from ofa_hw.errors import RunError
from ofa_hw.lut import LatencyTable
from ofa_hw.nn import Supernet
from ofa_hw.plugins import get_profiler
from ofa_hw.profiling import Device, measure, plan_for
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, get_space
from ofa_hw.training import FinetuneConfig, create_run, progressive_shrinking
from ofa_hw.training.checkpoint import save_weights
from tests.profiling.fake import FakeProfiler

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose supernet is as it was initialised: nothing here depends on how good it is."""
    torch.set_num_threads(1)
    space = get_space("fashion")
    run = create_run(
        tmp_path_factory.mktemp("run"),
        space=space,
        data="fashion-mnist-5000",
        schedule=lambda num: progressive_shrinking(space, num_images=num),
    )
    net = Supernet(run.space, generator=torch.Generator().manual_seed(0))
    save_weights(run.supernet_path, net.state_dict(), {})
    return run


@pytest.fixture(scope="module")
def table(run: RunFolder) -> LatencyTable:
    measured = measure(FakeProfiler(noise=0.0), unique_block_specs(run.space))
    return LatencyTable(space=run.space.name, measurements=measured.blocks, notes=measured.notes)


@pytest.fixture(scope="module")
def predictions(run: RunFolder, table: LatencyTable) -> list[Prediction]:
    archs = [run.space.smallest, *run.space.sample(1, np.random.default_rng(0))]
    latency = table.latency_ms(run.space, run.space.encode(archs))
    return [Prediction(arch=arch, top1=0.5, latency_ms=float(ms)) for arch, ms in zip(archs, latency, strict=True)]


@pytest.fixture(scope="module")
def verification(run: RunFolder, table: LatencyTable, predictions: list[Prediction]) -> Verification:
    tuning = FinetuneConfig(num_images=640)
    return verify_run(run, predictions, table, FakeProfiler(noise=0.0), num_random=3, tuning=tuning, num_workers=2)


def test_every_promise_stands_beside_its_measurement(
    run: RunFolder, predictions: list[Prediction], verification: Verification
) -> None:
    rows = list(csv.DictReader(run.verified_path.read_text().splitlines()))
    assert [row["arch_id"] for row in rows] == [prediction.arch.arch_id for prediction in predictions]
    for row, prediction in zip(rows, predictions, strict=True):
        assert float(row["predicted_latency_ms"]) == prediction.latency_ms
        assert float(row["measured_latency_ms"]) == pytest.approx(prediction.latency_ms, rel=1e-3)
        assert (run.path / row["exported"]).exists()
        assert float(row["exported_test_top1_agreement"]) == 1.0
        assert row["exported_test_top1"] == row["test_top1"]


def test_networks_that_were_verified_on_another_device_stay_in_the_file(
    run: RunFolder, table: LatencyTable, predictions: list[Prediction], verification: Verification, tmp_path: Path
) -> None:
    own = RunFolder(tmp_path / "run")
    own.path.mkdir()
    for path in (run.config_path, run.supernet_path, run.verified_path):
        (own.path / path.name).write_bytes(path.read_bytes())
    rows = [
        dataclasses.replace(row, conditions=dataclasses.replace(row.conditions, device="other"))
        for row in table.measurements
    ]
    other = dataclasses.replace(table, measurements=tuple(rows))
    for _ in range(2):
        verify_run(own, predictions[:1], other, FakeProfiler(noise=0.0), num_random=1, num_workers=1)
        found = [(row["arch_id"], row["device"]) for row in csv.DictReader(own.verified_path.read_text().splitlines())]
        ids = [prediction.arch.arch_id for prediction in predictions]
        assert found == [*((arch_id, table.device) for arch_id in ids), (ids[0], "other")]


def test_what_the_runtime_has_no_file_for_is_timed_by_its_profiler_and_said_in_the_card(
    run: RunFolder, verification: Verification
) -> None:
    net = verification.nets[0]
    assert (net.exported_format, net.is_file_timed) == ("pt2", False)
    card = (run.path / f"{net.exported}.md").read_text()
    assert "It is the network as the profiler of fake builds it that was timed, and not this file." in card


def test_finetuning_helps_a_network_that_was_never_trained(verification: Verification) -> None:
    assert verification.figures["finetuning_mean_gain_points"] > 10


def test_whole_networks_are_the_front_and_random_ones(run: RunFolder, verification: Verification) -> None:
    origins = [row["origin"] for row in csv.DictReader(run.whole_nets_path.read_text().splitlines())]
    assert origins == ["verified"] * 2 + ["random"] * 3
    assert verification.figures["latency_worst_error"] < 1e-3


def test_chosen_network_is_finetuned_kept_and_exported(run: RunFolder) -> None:
    arch = run.space.sample(1, np.random.default_rng(7))[0]
    _, is_tuned = TrainedRun(run).best(arch)
    assert not is_tuned
    tuned = finetune_chosen(run, arch, FinetuneConfig(num_images=640))
    assert tuned.test_top1 > tuned.test_top1_before + 0.1
    made = export_chosen(run, arch)
    assert made.is_finetuned
    assert made.check.top1_agreement == 1.0
    assert made.check.path == run.exported_path / f"{arch.arch_id}.tflite"
    assert made.check.top1 == made.check.torch_top1 == pytest.approx(tuned.test_top1)
    small = export_chosen(run, arch, "tflite-int8", takes_pixels=True, num_calibration_images=200)
    assert small.check.top1 == pytest.approx(tuned.test_top1, abs=0.02)
    assert small.check.path == run.exported_path / f"{arch.arch_id}.pixels.int8.tflite"
    assert export_chosen(run, arch, path=run.path / "net.onnx").check.format == "onnx"
    assert small.check.num_bytes < 0.5 * made.check.num_bytes
    assert f"{100 * small.check.top1:.1f} %" in small.card.read_text()


def test_kill_between_the_two_files_does_not_pass_for_verified(
    run: RunFolder, table: LatencyTable, predictions: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = RunFolder(tmp_path / "run")
    own.path.mkdir()
    for path in (run.config_path, run.supernet_path):
        (own.path / path.name).write_bytes(path.read_bytes())
    write = verified._write_csv

    def write_then_die(path: Path, rows: object) -> None:
        write(path, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(verified, "_write_csv", write_then_die)
    with pytest.raises(KeyboardInterrupt):
        verify_run(own, predictions[:1], table, FakeProfiler(noise=0.0), num_random=1, num_workers=1)
    assert own.whole_nets_path.exists()
    assert not own.verified_path.exists()


def test_nothing_to_verify_is_refused(run: RunFolder, table: LatencyTable) -> None:
    with pytest.raises(RunError, match="ofa-hw search"):
        verify_run(run, [], table, FakeProfiler())


def test_picks_run_from_the_fastest_to_the_slowest() -> None:
    arch = get_space("fashion").smallest
    predictions = [Prediction(arch=arch, top1=0.5, latency_ms=ms) for ms in (5.0, 1.0, 3.0, 2.0, 4.0)]
    assert [prediction.latency_ms for prediction in pick_along(predictions, 3)] == [1.0, 3.0, 5.0]
    assert len(pick_along(predictions, 9)) == 5


@pytest.mark.parametrize(
    ("runtime", "package", "dtype", "format_name", "suffix"),
    [
        ("tflite", "ai_edge_litert", "float32", "tflite", ".tflite"),
        ("tflite", "ai_edge_litert", "int8", "tflite-int8", ".int8.tflite"),
        ("onnxruntime", "onnxruntime", "float32", "onnx", ".onnx"),
        ("torch", "torch", "float32", "pt2", ".pt2"),
    ],
)
def test_each_network_is_written_checked_and_timed_as_the_table_says(
    run: RunFolder, table: LatencyTable, runtime: str, package: str, dtype: str, format_name: str, suffix: str
) -> None:
    pytest.importorskip(package)
    arch = run.space.sample(1, np.random.default_rng(5))[0]
    device = Device(name="host", runtime=runtime, dtype=dtype)
    conditions = dataclasses.replace(table.conditions, device="host", runtime=runtime, dtype=dtype)
    rows = tuple(dataclasses.replace(row, conditions=conditions) for row in table.measurements)
    verified = verify_run(
        run,
        [Prediction(arch=arch, top1=0.5, latency_ms=1.0)],
        dataclasses.replace(table, measurements=rows),
        get_profiler(runtime, device),
        num_random=1,
        tuning=FinetuneConfig(num_images=640),
        plan=plan_for(device, max_seconds=2, num_processes=1),
    )
    (net,) = verified.nets
    assert net.exported == f"exported/{arch.arch_id}{suffix}"
    assert net.exported_format == format_name
    assert net.is_file_timed == (runtime != "torch")
    assert net.exported_test_top1 == pytest.approx(net.test_top1, abs=0.02)
    assert 0 < net.measured_latency_ms < 1000
    card = (run.path / f"{net.exported}.md").read_text()
    assert f"in {runtime} " in card
    assert f", {dtype}, 1 thread" in card
    assert ("This file is what was timed." in card) == net.is_file_timed


def test_an_interrupted_verification_goes_on_with_the_networks_that_are_ready(
    run: RunFolder, table: LatencyTable, predictions: list[Prediction], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    original = Preparation._prepare_one

    def prepare_one(self: Preparation, arch: ArchConfig) -> PreparedNet:
        if len(prepared) == stop_after:
            raise KeyboardInterrupt
        prepared.append(arch.arch_id)
        return original(self, arch)

    def verify() -> Verification:
        tuning = FinetuneConfig(num_images=320)
        return verify_run(run, predictions, table, FakeProfiler(noise=0.0), num_random=1, tuning=tuning, num_workers=1)

    monkeypatch.setattr(Preparation, "_prepare_one", prepare_one)
    stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        verify()
    assert (run.path / "verify.jsonl").exists()
    stop_after = -1
    resumed = verify()
    assert prepared == [prediction.arch.arch_id for prediction in predictions]
    assert not (run.path / "verify.jsonl").exists()
    assert verify().nets == resumed.nets
    assert len(prepared) == 4
