"""The real `adb` client against a device on the loopback, whose benchmark_model runs in LiteRT."""

import dataclasses
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ofa_hw.bench.reference import reference_for
from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.profiling import Device, MeasurementPlan, ModelFile, Workload, measure
from ofa_hw.space import get_space
from ofa_hw.testing import ProfilerContract, heavy_block
from profilers import adb, tflite_adb
from profilers.adb import Phone
from profilers.benchmark_model import parse_benchmark
from profilers.tflite import make_profiler

ADB_DEVICE = Path(__file__).with_name("adb_device.py")
needs_phone = pytest.mark.skipif(not shutil.which("adb"), reason="adb is not installed: apt-get install adb")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def write_script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


class LoopbackPhone:
    """A phone that answers by adb: this machine, below a folder, with Android's tools told by files."""

    def __init__(self, folder: Path):
        self.port, self.root, self.tools = free_port(), folder / "root", folder / "tools"
        self.root.mkdir()
        self.tools.mkdir()
        write_script(self.tools / "getprop", '#!/bin/sh\ncat "$(dirname "$0")/$1" 2>/dev/null\n')
        write_script(self.tools / "dumpsys", '#!/bin/sh\ncat "$(dirname "$0")/$1" 2>/dev/null\n')
        (self.tools / "ro.product.model").write_text("Pixel 6\n")
        (self.tools / "ro.build.version.release").write_text("14\n")
        (self.tools / "battery").write_text(
            "Current Battery Service state:\n  level: 87\n  temperature: 291\n  status: 2\n"
        )
        self.get_hot(0)
        self.start()

    @property
    def serial(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        env = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        self.process = subprocess.Popen([sys.executable, ADB_DEVICE, str(self.port), str(self.root)], env=env)
        deadline = time.monotonic() + 20
        while not is_open(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        subprocess.run(["adb", "disconnect", self.serial], capture_output=True, check=False)
        subprocess.run(["adb", "connect", self.serial], capture_output=True, check=True)

    def unplug(self):
        self.process.kill()
        self.process.wait()

    def get_hot(self, status):
        (self.tools / "thermalservice").write_text(f"IsStatusOverride: false\nThermal Status: {status}\n")

    def files(self):
        return sorted(path.name for path in (self.root / "data/local/tmp").glob("*"))


@pytest.fixture(scope="module")
def benchmark_model(tmp_path_factory):
    source = Path(__file__).with_name("fake_benchmark_model.py").read_text()
    return write_script(tmp_path_factory.mktemp("tool") / "benchmark_model", f"#!{sys.executable}\n{source}")


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        phone = LoopbackPhone(tmp_path_factory.mktemp("phone"))
        yield phone
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True)
        phone.unplug()


@pytest.fixture
def device(phone, benchmark_model):
    return Device(
        name="pixel",
        runtime="tflite",
        transport="adb",
        options={"serial": phone.serial, "benchmark_model": str(benchmark_model)},
        cpu_mask="0x2",
    )


@needs_phone
class TestTfliteOverAdb(ProfilerContract):
    spaces = ("fashion",)

    @pytest.fixture(autouse=True)
    def on_phone(self, device):
        self.device = device

    def make_profiler(self):
        return make_profiler(self.device)


@needs_phone
def test_state_is_what_the_phone_tells(device):
    state = make_profiler(device).state()
    assert state["host"] == "Pixel 6"
    assert state["system"] == "Android 14"
    assert state["battery"] == "87 %, status 2, 29.1 C"
    assert state["temperature"] == "thermal status 0"


@needs_phone
def test_the_phone_tells_its_own_cores_and_how_busy_others_keep_them(device):
    session = make_profiler(device).open([Workload.of_block(heavy_block())], MeasurementPlan())
    try:
        times = session.time([0, 0], [1, 1])
    finally:
        session.close()
    assert times.num_cores == os.cpu_count()
    assert 0 <= times.others_load <= times.num_cores + 0.5


@needs_phone
def test_nothing_is_left_on_the_phone(device, phone):
    session = make_profiler(device).open([Workload.of_block(heavy_block())], MeasurementPlan())
    assert any(name.startswith("ofa-hw-") for name in phone.files())
    session.close()
    assert not phone.files()


@needs_phone
def test_a_model_of_somebody_else_is_timed_beside_the_reference(device, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(write_tflite(Workload.of_block(heavy_block()).folded()))
    profiler = make_profiler(device)
    assert profiler.model_suffixes == (".tflite",)
    reference, foreign = reference_for(profiler), Workload(name="a", file=ModelFile(path=path))
    session = profiler.open([foreign, reference], MeasurementPlan())
    try:
        assert min(session.time([0, 1], [1, 1]).ms) > 0
    finally:
        session.close()
    with pytest.raises(DeviceError, match="leave out those of a"):
        profiler.open([dataclasses.replace(foreign, file=ModelFile(path=path, shapes={"x": (1,)}))], MeasurementPlan())


@needs_phone
def test_hot_phone_is_waited_for(device, phone, monkeypatch):
    monkeypatch.setattr(tflite_adb, "COOL_DOWN_POLL_SECONDS", 0)
    seen = []
    profiler = make_profiler(device)
    monkeypatch.setattr(tflite_adb.time, "sleep", lambda seconds: (seen.append(seconds), phone.get_hot(0)))
    phone.get_hot(3)
    profiler.cool_down()
    assert seen
    phone.get_hot(3)
    monkeypatch.setattr(tflite_adb, "COOL_DOWN_SECONDS", -1)
    with pytest.raises(DeviceError, match="pixel: the phone stays hot"):
        profiler.cool_down()
    phone.get_hot(0)


@needs_phone
def test_unplugged_phone_is_told_and_the_run_resumes(device, phone, tmp_path):
    specs = unique_block_specs(get_space("fashion"), (20,))[:2]
    plan = MeasurementPlan(max_seconds=1, target_relative_ci=1e-6, num_processes=1, cpu_mask="0x2")
    journal = tmp_path / "journal"
    with pytest.raises(DeviceError, match=r"pixel: phone 127\.0\.0\.1:\d+ was unplugged; .* --resume"):
        measure(make_profiler(device), specs, plan, journal=journal, progress=lambda *_: phone.unplug())
    phone.start()
    run = measure(make_profiler(device), specs, plan, journal=journal, resume=True)
    assert [row.block for row in run.blocks] == list(specs)


@needs_phone
def test_benchmark_model_of_another_processor_is_refused(device, phone, tmp_path):
    header = b"\x7fELF" + bytes(14) + struct.pack("<H", 40)
    wrong = tmp_path / "benchmark_model"
    wrong.write_bytes(header)
    (phone.tools / "ro.product.cpu.abi").write_text("arm64-v8a\n")
    broken = Device(
        name="pixel", runtime="tflite", transport="adb", options={"serial": phone.serial, "benchmark_model": str(wrong)}
    )
    with pytest.raises(DeviceError, match=r"must be built for arm64-v8a, machine 183 .*; it is for machine 40"):
        make_profiler(broken).check()
    (phone.tools / "ro.product.cpu.abi").unlink()
    session = make_profiler(broken).open([Workload.of_block(heavy_block())], MeasurementPlan(cpu_mask="0x2"))
    with pytest.raises(
        DeviceError, match=r"pixel: (benchmark_model is not for this phone's processor|sh failed on the phone)"
    ):
        session.time([0], [1])
    session.close()


@needs_phone
def test_full_phone_is_told(device, phone, monkeypatch):
    (phone.root / "data/local").mkdir(parents=True, exist_ok=True)
    write_script(phone.tools / "mkdir", '#!/bin/sh\necho "mkdir: $2: No space left on device" >&2\nexit 1\n')
    with pytest.raises(DeviceError, match="pixel: the phone is full; make room"):
        make_profiler(device).open([Workload.of_block(heavy_block())], MeasurementPlan())
    (phone.tools / "mkdir").unlink()


@needs_phone
def test_serial_of_no_phone_lists_those_there_are(phone, benchmark_model):
    with pytest.raises(DeviceError, match=rf"phone ABC123 is not attached \(there are: 127\.0\.0\.1:{phone.port}\)"):
        Phone("pixel", "ABC123").check()


@needs_phone
def test_missing_benchmark_model_is_told(phone):
    device = Device(
        name="pixel", runtime="tflite", transport="adb", options={"serial": phone.serial, "benchmark_model": "/no/such"}
    )
    with pytest.raises(DeviceError, match="must be the path of TFLite's benchmark_model"):
        make_profiler(device).check()


@pytest.mark.parametrize("serial", ["-H evil", "a b", "$(reboot)", ";ls"])
def test_serial_that_is_none_is_refused(serial):
    with pytest.raises(InvalidInputError, match="serial must be"):
        Phone("pixel", serial)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("List of devices attached\n\n", "no phone is attached; plug it in"),
        ("List of devices attached\nA1\tunauthorized\n", "does not trust this computer; unlock it"),
        ("List of devices attached\nA1\toffline\n", "A1 is offline; plug it in again"),
        ("List of devices attached\nA1\tdevice\nB2\tdevice\n", r"several phones are attached \(A1, B2\)"),
    ],
)
def test_phone_that_cannot_be_used_is_told(tmp_path, monkeypatch, listing, message):
    (tmp_path / "listing").write_text(listing)
    write_script(tmp_path / "adb", f'#!/bin/sh\ncat "{tmp_path}/listing"\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceError, match=message):
        Phone("pixel", "").check()


def test_a_silent_adb_server_is_told(tmp_path, monkeypatch):
    write_script(tmp_path / "adb", "#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(adb, "_COMMAND_SECONDS", 0.2)
    with pytest.raises(DeviceError, match=r"adb's server must answer within 0.2 s; run `adb kill-server`"):
        Phone("pixel", "").check()


def test_missing_adb_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install adb"):
        Phone("pixel", "").check()


NEW_OUTPUT = """
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: count=4 first=900 curr=300 min=290 max=900 avg=450 std=260 p5=290 median=310 p95=900
INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=50 first=301 curr=299 min=295.5 max=420 avg=305.25 std=12 p5=296 median=300 p95=330
INFO: Inference timings in us: Init: 5123, First inference: 900, Warmup (avg): 450, Inference (avg): 305.25
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
INFO: Memory footprint delta from the start of the tool (MB): init=1.28516 overall=2.05859
"""


def test_all_that_benchmark_model_tells_is_read():
    report = parse_benchmark(NEW_OUTPUT)
    assert (report.num_runs, report.avg_us, report.median_us, report.min_us) == (50, 305.25, 300, 295.5)
    assert (report.p5_us, report.p95_us, report.std_us, report.max_us) == (296, 330, 12, 420)
    assert (report.init_us, report.first_us, report.warmup_avg_us) == (5123, 900, 450)
    assert (report.memory_init_mb, report.memory_overall_mb) == (1.28516, 2.05859)
    assert report.delegation == "complete"
    assert report.typical_ms == 0.3


def test_older_benchmark_model_tells_no_median():
    report = parse_benchmark(NEW_OUTPUT.replace(" p5=296 median=300 p95=330", ""))
    assert report.median_us is None
    assert report.typical_ms == 0.30525


def test_output_without_timings_is_refused():
    with pytest.raises(DeviceError, match="it ended with: ERROR: Failed to load model"):
        parse_benchmark("INFO: start\nERROR: Failed to load model\n")
