"""The ssh transport: the worker and its models are pushed to a board with Python, over one shared connection."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError
from ofa_hw.files import own_prefix
from ofa_hw.profiling.device import Device
from profilers.transport import THREAD_COUNTS, WORKER, Worker
from profilers.worker_process import WorkerProcess

_CONNECT_SECONDS = 10
_PUSH_SECONDS = 600
_PERSIST_SECONDS = 120
"""How long the shared connection outlives its last command, where nobody is left to end it."""
_SHORT = re.compile(r"[A-Za-z0-9/._-]{1,40}")
"""Folders for sockets: their paths have about 100 bytes at most, and ssh reads blanks and % in its own way."""
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]*/ofa-hw\.[A-Za-z0-9]+")

# Both are the same for every device: nothing of ours is put into them.
# A third party's worker imports `profilers.worker`, which is not installed on the board: it is sent before.
_UNPACK = 'folder=$(mktemp -d -t ofa-hw.XXXXXXXXXX) && echo "$folder" && exec tar -xf - -C "$folder"'
_START = """import json, sys, types
base, own = json.loads(sys.stdin.readline())
module = types.ModuleType('profilers.worker')
sys.modules['profilers'] = types.ModuleType('profilers')
sys.modules['profilers'].worker = sys.modules['profilers.worker'] = module
exec(compile(base, 'profilers/worker.py', 'exec'), module.__dict__)
exec(compile(own, 'worker', 'exec'), globals())
"""
_SERVE = "from profilers.worker import MAKERS, serve; serve(MAKERS)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SshOptions:
    """The options of a device that is reached by ssh: those of the client, and the board's `python`."""

    host: str = ""
    port: int = 0
    user: str = ""
    identity_file: str = ""
    ssh_config: str = ""
    python: str = "python3"


class SshTransport:
    """Workers run on the host of a device; their models lie in a folder of their own, which is removed afterwards."""

    option_types: ClassVar[tuple[type, ...]] = (SshOptions,)

    def __init__(self, device: Device, *, worker: Path = WORKER, env: Mapping[str, str] | None = None) -> None:
        """Reach the host of `device`; InvalidInputError where the device names none.

        `worker` is a script that needs nothing of ofa-hw but `profilers.worker`; it runs with `env` beside the
        environment there.
        """
        self._device, self._options = device, device.read(SshOptions)
        self._env = dict(env or {})
        self._script = _SERVE if worker == WORKER else worker.read_text()
        host = self._options.host
        if not host or host.startswith("-"):
            raise InvalidInputError(f'device {device.name!r}: transport ssh needs host = "..."; came {host!r}')
        # The first command makes the connection and the others share it, through a socket in a folder of our own: the
        # user's connections are never touched. It ends when this transport does.
        usual = tempfile.gettempdir()
        root = usual if _SHORT.fullmatch(usual) else "/tmp"  # noqa: S108 - mkdtemp gives a folder to us alone
        self._socket = Path(tempfile.mkdtemp(prefix=own_prefix(), dir=root)) / "s"
        weakref.finalize(self, _disconnect, self._command([], "-O", "exit"), self._socket)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of a worker that is started for it."""
        worker = self._start_worker(num_threads=1)
        try:
            return worker.ask(request)
        finally:
            worker.close()

    def start(
        self, models: Iterable[bytes | Path], *, suffix: str, num_threads: int
    ) -> tuple[Worker, list[str], Callable[[], None]]:
        """Push `models` into a new folder of the host, and start a worker there."""
        archive, names = _pack(models, suffix)
        answer = self._run(["sh", "-c", _UNPACK], content=archive, seconds=_PUSH_SECONDS).decode(errors="replace")
        folder = answer.strip()
        if not _FOLDER.fullmatch(folder):
            raise DeviceError(f"{self._device.name}: mktemp must tell a new folder; it told {folder[:100]!r}")
        try:
            worker = self._start_worker(num_threads=num_threads)
        except BaseException:
            self._remove(folder)
            raise
        return worker, [f"{folder}/{name}" for name in names], lambda: self._remove(folder)

    def _start_worker(self, *, num_threads: int) -> WorkerProcess:
        env = {**dict.fromkeys(THREAD_COUNTS, str(num_threads)), **self._env}
        words = ["env", *(f"{key}={value}" for key, value in env.items()), self._options.python, "-c", _START]
        worker = WorkerProcess(self._command(words), name=self._device.name, explain=self._reason)
        worker.send([WORKER.read_text(), self._script])
        return worker

    def _remove(self, folder: str) -> None:
        # Where the host is gone, there is nobody to clean up for.
        with contextlib.suppress(DeviceError):
            self._run(["rm", "-rf", "--", folder])

    def _run(self, words: Sequence[str], *, content: bytes = b"", seconds: float = 60) -> bytes:
        """Return what the command prints on the host."""
        # A file and not a pipe: the shared connection may keep a pipe open, and reading it would never end.
        with tempfile.TemporaryFile() as stderr:
            try:
                done = subprocess.run(
                    self._command(words),
                    input=content,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DeviceError(
                    f"{self._device.name}: {words[0]} did not end on the host within {seconds:g} s"
                ) from error
            if done.returncode:
                stderr.seek(0)
                text = " ".join(stderr.read().decode(errors="replace").split())
                raise DeviceError(f"{self._device.name}: {self._reason(done.returncode, text)}")
        return done.stdout

    def _command(self, words: Sequence[str], *own_words: str) -> list[str]:
        """Return the command line that runs `words` on the host; each is quoted for the shell at the far end.

        `own_words` are for the client itself.
        """
        ours = self._options
        client = shutil.which("ssh")
        if client is None:
            raise MissingDependencyError("ssh is not installed; install the OpenSSH client (Debian: openssh-client)")
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={_CONNECT_SECONDS}",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "ControlMaster=auto",
            f"ControlPath={self._socket}",
            f"ControlPersist={_PERSIST_SECONDS}",
        ]
        command = [client, *(word for option in options for word in ("-o", option))]
        command += ["-F", ours.ssh_config] if ours.ssh_config else []
        command += ["-p", str(ours.port)] if ours.port else []
        command += ["-l", ours.user] if ours.user else []
        command += ["-i", ours.identity_file] if ours.identity_file else []
        return [*command, *own_words, "--", ours.host, *([shlex.join(words)] if words else [])]

    def _reason(self, code: int, text: str) -> str:
        """Return why a command failed on the host, and what to do."""
        host, text = self._options.host, text[-300:]
        if "Permission denied" in text and code == 255:
            return f"{host} refused the key; name another by identity_file, or add yours to authorized_keys ({text})"
        if code == 255:
            return f"{host} does not answer by ssh; switch it on, or correct host and port ({text})"
        if "No space left" in text:
            return f"{host} is full; make room in its folder for temporary files ({text})"
        return f"a command on {host} ended with code {code}: {text}"


def _pack(models: Iterable[bytes | Path], suffix: str) -> tuple[bytes, list[str]]:
    """Return a tar archive of `models`, and the names that they have in it."""
    archive = io.BytesIO()
    names = []
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for index, model in enumerate(models):
            content = model.read_bytes() if isinstance(model, Path) else model
            names.append(f"{index}{suffix}")
            entry = tarfile.TarInfo(names[-1])
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue(), names


def _disconnect(command: list[str], socket: Path) -> None:
    # If it does not end now, it does after `_PERSIST_SECONDS`.
    if socket.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=_CONNECT_SECONDS, check=False)
    shutil.rmtree(socket.parent, ignore_errors=True)
