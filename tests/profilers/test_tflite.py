import dataclasses
import importlib.metadata

import pytest

from ofa_hw.errors import DeviceError, MissingDependencyError
from ofa_hw.profiling import MeasurementPlan, Workload
from ofa_hw.testing import ProfilerContract, heavy_block
from profilers import worker_session
from profilers.tflite import TfliteBuiltinProfiler, TfliteProfiler

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


class TestTfliteProfiler(ProfilerContract):
    def make_profiler(self):
        return TfliteProfiler()


class TestTfliteProfilerWithInt8(ProfilerContract):
    plan = dataclasses.replace(ProfilerContract.plan, dtype="int8")

    def make_profiler(self):
        return TfliteProfiler()


class TestTfliteBuiltinProfiler(ProfilerContract):
    spaces = ("fashion",)

    def make_profiler(self):
        return TfliteBuiltinProfiler()


def test_missing_runtime_names_its_extra(monkeypatch):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_found)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ofa-hw\[tflite\]'"):
        TfliteProfiler().check()


def test_file_that_the_runtime_cannot_read_names_its_workload(monkeypatch):
    monkeypatch.setattr("profilers.tflite.write_tflite", lambda blocks, **_: b"no model")
    with pytest.raises(DeviceError, match=rf"host \(ai-edge-litert\) cannot build {heavy_block().key}"):
        TfliteProfiler().open([Workload.of_block(heavy_block())], MeasurementPlan())


def test_worker_that_dies_is_told_with_its_last_words():
    worker = worker_session.WorkerProcess(["python3", "-c", "import sys; sys.exit('out of luck')"], name="board")
    with pytest.raises(DeviceError, match="board: the worker ended with code 1: out of luck"):
        worker.ask({"op": "state"})
    worker.close()


def test_session_leaves_no_files_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = TfliteProfiler().open([Workload.of_block(heavy_block())], MeasurementPlan())
    assert list(tmp_path.iterdir())
    session.close()
    assert not list(tmp_path.iterdir())
