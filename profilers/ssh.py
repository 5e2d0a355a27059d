"""The ssh transport: the worker and its models are pushed to a board with Python, by the OpenSSH client."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence

from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError
from ofa_hw.profiling.device import Device
from profilers.transport import WORKER
from profilers.worker_process import WorkerProcess

_CONNECT_SECONDS = 10
_PUSH_SECONDS = 600
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]*/ofa-hw\.[A-Za-z0-9]+")


class SshTransport:
    """Workers run on the host of a device, in a folder of their own that is removed after them."""

    def __init__(self, device: Device) -> None:
        """Reach `device.host`; InvalidInputError where the device names none."""
        if not device.host or device.host.startswith("-"):
            raise InvalidInputError(f'device {device.name!r}: transport ssh needs host = "..."; came {device.host!r}')
        self._device = device

    def start(
        self, models: Iterable[bytes], *, suffix: str, num_threads: int
    ) -> tuple[WorkerProcess, list[str], Callable[[], None]]:
        """Push the worker and `models` into a new folder of the host, and start it there."""
        folder = self._run(["mktemp", "-d", "-t", "ofa-hw.XXXXXXXXXX"]).decode(errors="replace").strip()
        if not _FOLDER.fullmatch(folder):
            raise DeviceError(f"{self._device.name}: mktemp must tell a new folder; it told {folder[:100]!r}")
        try:
            names = self._push(folder, models, suffix)
            threads = f"OMP_NUM_THREADS={num_threads}"
            command = self._command(["env", threads, self._device.python, f"{folder}/{WORKER.name}"])
            worker = WorkerProcess(command, name=self._device.name)
        except BaseException:
            self._remove(folder)
            raise
        return worker, [f"{folder}/{name}" for name in names], lambda: self._remove(folder)

    def _push(self, folder: str, models: Iterable[bytes], suffix: str) -> list[str]:
        archive = io.BytesIO()
        names = []
        with tarfile.open(fileobj=archive, mode="w") as tar:
            _add(tar, WORKER.name, WORKER.read_bytes())
            for index, content in enumerate(models):
                names.append(f"{index}{suffix}")
                _add(tar, names[-1], content)
        self._run(["tar", "-xf", "-", "-C", folder], content=archive.getvalue(), seconds=_PUSH_SECONDS)
        return names

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
            raise DeviceError(f"{self._device.name}: {self._reason(done.returncode, done.stderr)}")
        return done.stdout

    def _command(self, words: Sequence[str]) -> list[str]:
        """Return the command line that runs `words` on the host; each is quoted for the shell at the far end."""
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
        return [*command, "--", device.host, shlex.join(words)]

    def _reason(self, code: int, stderr: bytes) -> str:
        text = " ".join(stderr.decode(errors="replace").split())[-300:]
        host = self._device.host
        if "Permission denied" in text and code == 255:
            return f"{host} refused the key; name another by identity_file, or add yours to authorized_keys ({text})"
        if code == 255:
            return f"{host} does not answer by ssh; switch it on, or correct host and port ({text})"
        if "No space left" in text:
            return f"{host} is full; make room in its folder for temporary files ({text})"
        return f"a command on {host} ended with code {code}: {text}"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
