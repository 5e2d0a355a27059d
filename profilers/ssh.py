"""The ssh transport: the worker and its models are pushed to a board with Python, by the OpenSSH client."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError
from ofa_hw.profiling.device import Device
from profilers.transport import WORKER, Worker
from profilers.worker_process import WorkerProcess

_CONNECT_SECONDS = 10
_PUSH_SECONDS = 600
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]*/ofa-hw\.[A-Za-z0-9]+")

# Both are the same for every device: nothing of ours is put into them.
_UNPACK = 'folder=$(mktemp -d -t ofa-hw.XXXXXXXXXX) && echo "$folder" && exec tar -xf - -C "$folder"'
_START = "import json, sys; exec(compile(json.loads(sys.stdin.readline()), 'worker', 'exec'))"


class SshTransport:
    """Workers run on the host of a device, in a folder of their own that is removed after them."""

    def __init__(self, device: Device) -> None:
        """Reach `device.host`; InvalidInputError where the device names none."""
        if not device.host or device.host.startswith("-"):
            raise InvalidInputError(f'device {device.name!r}: transport ssh needs host = "..."; came {device.host!r}')
        self._device = device
        # One connection is made and shared; it ends when this transport does.
        self._sockets = tempfile.TemporaryDirectory(prefix="ofa-hw-")
        weakref.finalize(self, _disconnect, self._command([], "-O", "exit"), self._sockets)

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
        told = self._run(["sh", "-c", _UNPACK], content=archive, seconds=_PUSH_SECONDS).decode(errors="replace")
        folder = told.strip()
        if not _FOLDER.fullmatch(folder):
            raise DeviceError(f"{self._device.name}: mktemp must tell a new folder; it told {folder[:100]!r}")
        try:
            worker = self._start_worker(num_threads=num_threads)
        except BaseException:
            self._remove(folder)
            raise
        return worker, [f"{folder}/{name}" for name in names], lambda: self._remove(folder)

    def _start_worker(self, *, num_threads: int) -> WorkerProcess:
        words = ["env", f"OMP_NUM_THREADS={num_threads}", self._device.python, "-c", _START]
        worker = WorkerProcess(self._command(words), name=self._device.name, explain=self._reason)
        worker.send(WORKER.read_text())
        return worker

    def _remove(self, folder: str) -> None:
        # Where the host is gone, there is nobody to clean up for.
        with contextlib.suppress(DeviceError):
            self._run(["rm", "-rf", "--", folder])

    def _run(self, words: Sequence[str], *, content: bytes = b"", seconds: float = 60) -> bytes:
        """Return what the command prints on the host."""
        try:
            done = subprocess.run(
                self._command(words), input=content, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{self._device.name}: {words[0]} did not end on the host within {seconds:g} s"
            ) from error
        if done.returncode:
            text = " ".join(done.stderr.decode(errors="replace").split())
            raise DeviceError(f"{self._device.name}: {self._reason(done.returncode, text)}")
        return done.stdout

    def _command(self, words: Sequence[str], *own_words: str) -> list[str]:
        """Return the command line that runs `words` on the host; each is quoted for the shell at the far end.

        `own_words` are for the client itself.
        """
        device = self._device
        client = shutil.which("ssh")
        if client is None:
            raise MissingDependencyError("ssh is not installed; install the OpenSSH client (Debian: openssh-client)")
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={_CONNECT_SECONDS}",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ]
        command = [client, *(word for option in options for word in ("-o", option))]
        command += ["-F", device.ssh_config] if device.ssh_config else []
        command += ["-p", str(device.port)] if device.port else []
        command += ["-l", device.user] if device.user else []
        command += ["-i", device.identity_file] if device.identity_file else []
        return [*command, *own_words, "--", device.host, *([shlex.join(words)] if words else [])]

    def _reason(self, code: int, text: str) -> str:
        """Return why a command failed on the host, and what to do."""
        host, text = self._device.host, text[-300:]
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


def _disconnect(command: list[str], sockets: tempfile.TemporaryDirectory[str]) -> None:
    subprocess.run(command, capture_output=True, timeout=_CONNECT_SECONDS, check=False)
    sockets.cleanup()
