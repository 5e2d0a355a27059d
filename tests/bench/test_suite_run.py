"""Measuring a suite: beside the reference, by the runtime that opens each file, refused before it is timed."""

import dataclasses

import numpy as np
import pytest

from ofa_hw.bench import Verdict, compare, gate_plan, read_suite, run_suite, suite_run
from ofa_hw.bench.reference import digest_of, reference_for, reference_specs
from ofa_hw.errors import DeviceError, InvalidInputError, RunError
from ofa_hw.formats.onnx_model import write_onnx
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.nn.folded_reference import run_blocks
from ofa_hw.profiling import Device, MeasurementPlan, Workload
from ofa_hw.profiling.measurement import random_input
from profilers.onnx import OnnxRuntimeProfiler
from profilers.tflite import TfliteProfiler
from tests.profiling.fake import FakeProfiler

HOST = Device(name="host", runtime="tflite")
FAST = MeasurementPlan(num_processes=3, min_runs=12, target_relative_ci=0.1, max_seconds=60)


@pytest.fixture
def suite(tmp_path):
    """A suite with one file for each runtime and one block."""
    chain = Workload(name="chain", specs=reference_specs()[:2]).folded()
    (tmp_path / "a.tflite").write_bytes(write_tflite(chain))
    (tmp_path / "b.onnx").write_bytes(write_onnx(chain))
    path = tmp_path / "suite.toml"
    blocks = '{ space = "fashion", keys = ["mbconv-r14-*-m32-*-k7-*"] }'
    path.write_text(f'[models]\nb = "b.onnx"\na = "a.tflite"\n[blocks]\nlate = {blocks}')
    return path


@pytest.fixture
def fake(monkeypatch):
    """A device whose times are known; `host` opens .tflite files."""
    profiler = FakeProfiler()
    profiler.device = HOST
    profiler.model_suffixes = (".tflite", ".onnx")
    monkeypatch.setattr(suite_run, "get_profiler", lambda name, device: profiler)
    return profiler


@pytest.mark.parametrize(
    ("profiler", "suffix"), [(TfliteProfiler(None), ".tflite"), (OnnxRuntimeProfiler(None), ".onnx")]
)
def test_the_stored_reference_computes_what_its_blocks_compute(profiler, suffix):
    workload = reference_for(profiler)
    assert workload.file.path.name == f"reference{suffix}"
    chain = Workload(name="chain", specs=reference_specs())
    session = profiler.open([workload], MeasurementPlan())
    try:
        x = random_input(chain.specs[0])
        np.testing.assert_allclose(session.run(0, x), run_blocks(chain.folded(), x), atol=1e-4)
    finally:
        session.close()


def test_a_runtime_without_model_files_times_the_blocks_of_the_reference():
    profiler = FakeProfiler()
    profiler.model_suffixes = ()
    assert reference_for(profiler).specs == reference_specs()
    assert digest_of(reference_for(profiler)) != digest_of(reference_for(TfliteProfiler(None)))


def test_every_model_is_timed_by_the_runtime_that_opens_it(suite):
    told = run_suite(read_suite(suite), HOST, FAST)
    assert [(figure.name, figure.runtime) for figure in told.figures] == [
        ("b", "onnxruntime"),
        ("a", "tflite"),
        ("late/mbconv-r14-i16-m32-o24-k7-s2-relu", "tflite"),
    ]
    assert [conditions.runtime for conditions in told.conditions] == ["onnxruntime", "tflite"]
    assert set(told.references) == {"onnxruntime", "tflite"}
    for figure in told.figures:
        assert len(figure.times.ms) == len(figure.times.ratios) == FAST.num_processes
        assert figure.value == pytest.approx(np.mean(figure.times.ms))


def test_a_slower_machine_is_no_slower_model_and_more_work_is(suite, fake):
    plan = gate_plan(HOST, num_processes=5, max_seconds=20)
    before = run_suite(read_suite(suite), HOST, plan)
    fake.slow_down = lambda process, call: 1.5
    again = compare(before, run_suite(read_suite(suite), HOST, plan))
    assert {change.verdict for change in again.changes} == {Verdict.SAME}
    fake.more_work = 1.08
    slower = compare(before, run_suite(read_suite(suite), HOST, plan))
    assert {change.verdict for change in slower.changes} == {Verdict.SLOWER}


def test_a_reference_of_ones_own_is_timed(suite, fake):
    suite.write_text('reference = "a.tflite"\n' + suite.read_text())
    told = run_suite(read_suite(suite), HOST, FAST)
    by_name = {figure.name: figure.times.ratios for figure in told.figures}
    assert by_name["a"] == pytest.approx([1] * 3, rel=0.01)


def test_a_baseline_of_another_device_is_refused_before_anything_is_timed(suite, fake):
    told = run_suite(read_suite(suite), HOST, FAST)
    other = dataclasses.replace(told, conditions=(dataclasses.replace(told.conditions[0], device="pixel"),))
    num_sessions = len(fake.sessions)
    with pytest.raises(RunError, match=r"base\.json: .* differs in device \(pixel, not fake\)"):
        run_suite(read_suite(suite), HOST, FAST, baseline=other, baseline_path="base.json")
    assert len(fake.sessions) == num_sessions


def test_a_phone_that_does_not_open_a_file_says_so(suite, fake):
    fake.model_suffixes = (".tflite",)
    fake.device = dataclasses.replace(HOST, name="pixel", transport="adb")
    with pytest.raises(InvalidInputError, match=r"b\.onnx: pixel opens \.tflite alone"):
        run_suite(read_suite(suite), fake.device, FAST)


@pytest.mark.parametrize("name", ["a.tflite", "b.onnx"])
def test_a_model_that_the_runtime_cannot_load_is_named(suite, name):
    path = suite.with_name(name)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DeviceError, match=rf"host cannot build {name[0]}: ") as caught:
        run_suite(read_suite(suite), HOST, FAST)
    assert len(str(caught.value).splitlines()) == 1
