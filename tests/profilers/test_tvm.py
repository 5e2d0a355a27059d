import contextlib
import shutil
import socket
import time

import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.profiling import Device, MeasurementPlan, Workload
from ofa_hw.profiling.output_check import check_outputs
from ofa_hw.space import get_space
from ofa_hw.testing import ProfilerContract, heavy_block, light_block
from profilers.tvm import TvmCompiler, TvmProfiler, make_profiler
from profilers.tvm_tune import run_here

tvm = pytest.importorskip("tvm", reason="TVM is not installed")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(is_so):
    deadline = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_there(profiler):
    with contextlib.suppress(DeviceError):
        profiler.check()
        return True
    return False


@pytest.fixture(scope="module")
def server():
    """A device that runs TVM's server."""
    from tvm import rpc

    port = free_port()
    server = rpc.Server("127.0.0.1", port, port + 1, silent=True)
    yield Device(name="edge", runtime="tvm", transport="rpc", options={"host": "127.0.0.1", "port": port})
    server.terminate()


@pytest.fixture(scope="module")
def tracked():
    """A device that a tracker knows by its key."""
    from tvm import rpc
    from tvm.rpc.tracker import Tracker

    tracker_port, port = free_port(), free_port()
    tracker = Tracker("127.0.0.1", tracker_port, tracker_port + 1, silent=True)
    server = rpc.Server("127.0.0.1", port, port + 1, tracker_addr=("127.0.0.1", tracker_port), key="edge", silent=True)
    options = {"tracker": f"127.0.0.1:{tracker_port}", "key": "edge"}
    yield Device(name="edge", runtime="tvm", transport="rpc", options=options)
    server.terminate()
    tracker.terminate()


def test_blocks_in_a_worker_equal_torch_and_are_timed():
    workloads = [Workload.of_block(light_block()), Workload.of_block(heavy_block())]
    session = TvmProfiler().open(workloads, MeasurementPlan())
    check_outputs(session, workloads, MeasurementPlan(), device="host")
    light, heavy = session.time([0, 1], [1, 1]).ms
    assert heavy > light > 0
    session.close()


@pytest.fixture(scope="module")
def profiler(server):
    """One for all tests of the contract: what it has compiled, it keeps."""
    return make_profiler(server)


class TestTvmOverRpc(ProfilerContract):
    spaces = ("fashion",)
    num_sessions = 1

    @pytest.fixture(autouse=True)
    def on_server(self, profiler):
        self.profiler = profiler

    def make_profiler(self):
        return self.profiler


def test_tracker_finds_the_device_by_its_key(tracked):
    profiler = make_profiler(tracked)
    wait_until(lambda: is_there(profiler))
    session = profiler.open([Workload.of_block(light_block())], MeasurementPlan())
    assert min(session.time([0, 0], [1, 2]).ms) > 0
    session.close()
    with pytest.raises(DeviceError, match="must know key 'toaster'; it knows edge: start a server"):
        make_profiler(tracked.changed(key="toaster")).check()


@pytest.mark.parametrize("fields", [{"tracker": "127.0.0.1:{port}", "key": "edge"}, {"host": "127.0.0.1"}])
def test_dead_tracker_or_server_fails_in_seconds(fields):
    port = free_port()
    fields = {name: value.format(port=port) for name, value in fields.items()}
    device = Device(name="edge", runtime="tvm", transport="rpc", options={"port": port, **fields})
    begin = time.monotonic()
    with pytest.raises(
        DeviceError, match=rf"edge: nothing listens at 127\.0\.0\.1:{port} .*; start `python -m tvm\.exec"
    ):
        make_profiler(device).check()
    assert time.monotonic() - begin < 8


def test_device_without_address_is_refused():
    with pytest.raises(InvalidInputError, match="transport rpc needs host and port"):
        make_profiler(Device(name="edge", runtime="tvm", transport="rpc"))


def test_unknown_target_is_refused():
    device = Device(name="odd", runtime="tvm", options={"target": {"kind": "toaster"}})
    with pytest.raises(InvalidInputError, match="target must be one of TVM's"):
        TvmCompiler(device, run_here).library(Workload.of_block(light_block()), MeasurementPlan())


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="g++-aarch64-linux-gnu is not installed")
def test_library_for_another_processor():
    target = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}
    device = Device(name="pi", runtime="tvm", options={"target": target, "cross_compiler": "aarch64-linux-gnu-g++"})
    library = TvmCompiler(device, run_here).library(Workload.of_block(heavy_block()), MeasurementPlan())
    assert library[:4] == b"\x7fELF"
    assert library[18] == 183  # EM_AARCH64


def test_missing_cross_compiler_is_told():
    device = Device(name="pi", runtime="tvm", options={"cross_compiler": "riscv-nobody-g++"})
    with pytest.raises(DeviceError, match=r"riscv-nobody-g\+\+ must link the library"):
        TvmCompiler(device, run_here).library(Workload.of_block(light_block()), MeasurementPlan())


def test_tuning_fills_a_database_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("profilers.tvm_tune._NUM_TRIALS", 2)
    device = Device(name="host", runtime="tvm", options={"tune": True, "tune_database": str(tmp_path / "database")})
    spec = block_specs(get_space("fashion"), get_space("fashion").smallest)[0]
    num_runs = []

    def run(path, shapes):
        num_runs.append(path)
        return run_here(path, shapes)

    first = TvmCompiler(device, run).library(Workload.of_block(spec), MeasurementPlan())
    assert num_runs
    assert sorted(path.name for path in (tmp_path / "database").glob("*.json")) == [
        "database_tuning_record.json",
        "database_workload.json",
    ]
    num_runs.clear()
    second = TvmCompiler(device, run).library(Workload.of_block(spec), MeasurementPlan())
    assert not num_runs
    assert len(first) == len(second)
