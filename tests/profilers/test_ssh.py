"""The real OpenSSH client against a real sshd on the loopback, with keys of its own."""

import gc
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError
from ofa_hw.profiling import Device, MeasurementPlan, measure
from ofa_hw.space import get_space
from ofa_hw.testing import ProfilerContract
from profilers.ssh import SshTransport
from profilers.tflite import TfliteProfiler

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    not (SSHD and shutil.which("ssh")), reason="openssh-server or openssh-client is missing"
)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


class Board:
    """A host that answers by ssh: this machine, through a port of the loopback."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        host_key, self.key = make_key(folder / "host"), make_key(folder / "user")
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {host_key}\nAuthorizedKeysFile {folder}/authorized_keys\n"
            f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "LogLevel VERBOSE\n"
        )
        self.client_config = folder / "ssh_config"
        self.client_config.write_text(f"UserKnownHostsFile {folder}/known_hosts\nStrictHostKeyChecking accept-new\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        deadline = time.monotonic() + 20
        while not is_open(self.port):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def device(self, **changes):
        # A path that a shell would take apart, were it not quoted.
        python = self.folder / "a b;$(touch never)'python"
        if not python.exists():
            python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            python.chmod(0o755)
        fields = {
            "transport": "ssh",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "identity_file": str(self.key),
            "ssh_config": str(self.client_config),
            "python": str(python),
        }
        return Device(name="board", runtime="tflite").changed(**{**fields, **changes})

    def cut_connections(self):
        """What a reboot does to those who are connected."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()

    def stop(self):
        self.cut_connections()
        self.process.terminate()
        self.process.wait()

    def num_connections(self):
        return self.log.read_text().count("Connection from 127.0.0.1")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    board = Board(tmp_path_factory.mktemp("ssh"))
    yield board
    board.stop()


class TestTfliteOverSsh(ProfilerContract):
    spaces = ("fashion",)

    @pytest.fixture(autouse=True)
    def on_board(self, board):
        self.board = board

    def make_profiler(self):
        return TfliteProfiler(self.board.device())


def test_nothing_is_left_on_the_board(board, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    transport = SshTransport(board.device())
    worker, paths, clean = transport.start([b"model"], suffix=".tflite", num_threads=1)
    folder = Path(paths[0]).parent
    assert Path(paths[0]).read_bytes() == b"model"
    worker.close()
    clean()
    assert not folder.exists()
    assert not Path("never").exists()


def test_all_commands_share_one_connection_that_ends_with_the_transport(board):
    before = board.num_connections()
    transport = SshTransport(board.device())
    for _ in range(3):
        transport.ask({"op": "describe", "distributions": []})
    worker, _, clean = transport.start([b"model"], suffix=".tflite", num_threads=1)
    worker.close()
    clean()
    assert board.num_connections() == before + 1
    folder = transport._socket.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    master = [psutil.Process(process.pid) for process in psutil.process_iter() if str(folder) in _words(process)]
    assert len(master) == 1
    del transport, worker, clean
    gc.collect()
    assert not folder.exists()
    psutil.wait_procs(master, timeout=20)
    assert not master[0].is_running()


def _words(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_the_folder_of_the_socket_is_short_wherever_temporary_files_are(board, tmp_path, monkeypatch):
    far = tmp_path / ("far" * 30) / "a b"
    far.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    SshTransport(board.device()).ask({"op": "describe", "distributions": []})


def test_the_user_s_own_connection_is_neither_used_nor_ended(board, tmp_path):
    with tempfile.TemporaryDirectory(prefix="own-") as folder:
        config = tmp_path / "config"
        own = f"ControlMaster auto\nControlPath {folder}/%C\nControlPersist 60\n"
        config.write_text(own + board.client_config.read_text())
        words = ["-F", config, "-p", str(board.port), "-l", getpass.getuser(), "-i", board.key, "127.0.0.1"]

        def ask_client(*own):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return subprocess.run(["ssh", *own], check=False, **quiet).returncode

        assert ask_client(*words, "true") == 0
        before = board.num_connections()
        transport = SshTransport(board.device(ssh_config=str(config)))
        transport.ask({"op": "describe", "distributions": []})
        assert board.num_connections() == before + 1
        del transport
        gc.collect()
        try:
            assert ask_client("-O", "check", *words) == 0
        finally:
            ask_client("-O", "exit", *words)


@pytest.fixture
def bare_python(board, tmp_path):
    """A Python of the board in which nothing of ofa-hw can be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('ofa_hw', 'profilers', 'plain_onnxruntime'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_a_worker_of_a_third_party_runs_on_a_board_without_ofa_hw(board, bare_python, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples" / "plain-onnxruntime")
    from plain_onnxruntime.profiler import PlainOnnxRuntimeProfiler

    device = board.device(runtime="plain-onnxruntime", python=bare_python, use_arena=False)
    profiler = PlainOnnxRuntimeProfiler(device)
    profiler.check()
    specs = unique_block_specs(get_space("fashion"), (20,))[:3]
    run = measure(profiler, specs, MeasurementPlan(max_seconds=3, num_processes=2, min_runs=6))
    assert [row.block for row in run.blocks] == list(specs)
    with pytest.raises(InvalidInputError, match=r"takes the options host, .*use_arena, user .*; came provider"):
        PlainOnnxRuntimeProfiler(device.changed(provider="CUDAExecutionProvider"))


def test_a_model_that_never_ends_does_not_go_on_on_the_board(board, tmp_path):
    mark = f"endless-{board.port}"
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys, time\n"
        "from profilers.worker import serve\n"
        "class Endless:\n"
        "    mark = ''\n"
        "    def invoke(self):\n"
        "        time.sleep(600)\n"
        "serve({'endless': lambda path, request: Endless()})\n"
    )
    transport = SshTransport(board.device(), worker=script, env={"OFA_HW_TEST": mark})
    worker, paths, clean = transport.start([b"model"], suffix=".bin", num_threads=1)
    request = {"op": "open", "runtime": "endless", "models": paths, "shapes": [None], "cores": [], "num_threads": 1}
    worker.ask({**request, "options": {}})
    there = [process for process in psutil.process_iter() if _environment(process).get("OFA_HW_TEST") == mark]
    assert there
    with pytest.raises(DeviceError, match=r"board: the worker must answer 'time' within 0\.5 s, and was ended"):
        worker.ask({"op": "time", "order": [0], "repeats": [1]}, seconds=0.5)
    worker.close()
    clean()
    assert psutil.wait_procs(there, timeout=20)[1] == []


def _environment(process):
    try:
        return process.environ()
    except psutil.Error:
        return {}


def test_a_built_in_worker_runs_on_a_board_without_ofa_hw(board, bare_python):
    TfliteProfiler(board.device(python=bare_python)).open([], MeasurementPlan()).close()


def test_refused_key_is_told(board, tmp_path):
    device = board.device(identity_file=str(make_key(tmp_path / "stranger")))
    with pytest.raises(DeviceError, match=r"board: 127\.0\.0\.1 refused the key; name another by identity_file"):
        TfliteProfiler(device).check()


def test_host_that_does_not_answer_is_told(board):
    with pytest.raises(DeviceError, match=r"board: 127\.0\.0\.1 does not answer by ssh"):
        TfliteProfiler(board.device(port=free_port())).check()


def test_host_that_looks_like_an_option_is_refused():
    with pytest.raises(InvalidInputError, match="transport ssh needs host"):
        SshTransport(Device(name="board", runtime="tflite", transport="ssh", options={"host": "-oProxyCommand=true"}))


def test_python_without_the_runtime_is_told(board, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(MissingDependencyError, match=r"ai-edge-litert is not installed on board; .* `pip install ai-"):
        TfliteProfiler(board.device(python=str(bare))).check()


def test_board_that_reboots_is_told_and_the_run_resumes(board, tmp_path):
    specs = unique_block_specs(get_space("fashion"), (20,))[:6]
    plan = MeasurementPlan(max_seconds=1, target_relative_ci=1e-6)
    journal = tmp_path / "journal"
    with pytest.raises(DeviceError, match=r"board: 127\.0\.0\.1 does not answer by ssh"):
        measure(
            TfliteProfiler(board.device()), specs, plan, journal=journal, progress=lambda *_: board.cut_connections()
        )
    run = measure(TfliteProfiler(board.device()), specs, plan, journal=journal, resume=True)
    assert [row.block for row in run.blocks] == list(specs)
