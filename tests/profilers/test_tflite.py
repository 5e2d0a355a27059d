import dataclasses

import pytest

from ofa_hw.errors import DeviceError, MissingDependencyError
from ofa_hw.profiling import MeasurementPlan, Workload
from ofa_hw.testing import ProfilerContract, heavy_block
from profilers.tflite import TfliteBuiltinProfiler, TfliteProfiler, TfliteRuntimeProfiler
from profilers.worker_process import WorkerProcess

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


class TestTfliteProfiler(ProfilerContract):
    def make_profiler(self):
        return TfliteProfiler()


class TestTfliteProfilerWithInt8(ProfilerContract):
    plan = dataclasses.replace(ProfilerContract.plan, dtype="int8")

    def make_profiler(self):
        return TfliteProfiler()


class TestTfliteRuntimeProfiler(ProfilerContract):
    spaces = ("fashion",)

    def make_profiler(self):
        pytest.importorskip("tflite_runtime", reason="tflite-runtime is not installed")
        profiler = TfliteRuntimeProfiler()
        try:
            profiler.check()
        except DeviceError as error:
            pytest.skip(str(error))
        return profiler


class TestTfliteBuiltinProfiler(ProfilerContract):
    spaces = ("fashion",)

    def make_profiler(self):
        return TfliteBuiltinProfiler()


def test_missing_runtime_names_its_extra():
    class Missing(TfliteProfiler):
        distribution = "ai-edge-litert-that-nobody-made"

    with pytest.raises(MissingDependencyError, match=r"not installed here; .* `pip install -e '.*\[tflite\]'`"):
        Missing().check()


def test_runtime_that_dies_beside_numpy_2_is_told(tmp_path, monkeypatch):
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    for name, version in (("tflite-runtime", "2.14.0"), ("numpy", "2.3.0")):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DeviceError, match=r"needs numpy below 2 and dies beside numpy 2\.3\.0"):
        TfliteRuntimeProfiler().check()


def test_file_that_the_runtime_cannot_read_names_its_workload(monkeypatch):
    monkeypatch.setattr("profilers.tflite.write_tflite", lambda blocks, **_: b"no model")
    with pytest.raises(DeviceError, match=rf"host cannot build {heavy_block().key}"):
        TfliteProfiler().open([Workload.of_block(heavy_block())], MeasurementPlan())


def test_worker_that_dies_is_told_with_its_last_words():
    worker = WorkerProcess(["python3", "-c", "import sys; sys.exit('out of luck')"], name="board")
    with pytest.raises(DeviceError, match="board: the worker ended with code 1: out of luck"):
        worker.ask({"op": "state"})
    worker.close()


def test_session_leaves_no_files_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = TfliteProfiler().open([Workload.of_block(heavy_block())], MeasurementPlan())
    assert list(tmp_path.iterdir())
    session.close()
    assert not list(tmp_path.iterdir())
