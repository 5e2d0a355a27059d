"""A phone behind the real `adb` client: commands, files, and what it reports about itself."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
# Relative to /, where Android's shell begins: what stands in for a phone in tests may have its root elsewhere.
_ROOT = "data/local/tmp"
_COMMAND_SECONDS = 120
_FILES_AT_ONCE = 200
"""Files in one push, whose names must all fit on a command line."""
_GONE = ("not found", "no devices", "device offline", "closed", "connection reset", "protocol fault", "error: device")


class Phone:
    """One phone, named by its serial number; an empty `serial` stands for the only one that is attached."""

    def __init__(self, name: str, serial: str) -> None:
        """Call it `name` in errors; InvalidInputError where `serial` cannot be one."""
        if serial and not _SERIAL.fullmatch(serial):
            raise InvalidInputError(f"device {name!r}: serial must be letters, digits and .:_-; came {serial!r}")
        self.name = name
        self._wanted = serial
        self._serial = ""

    def check(self) -> None:
        """Check that the phone answers.

        Raises:
            MissingDependencyError: adb is not installed.
            DeviceError: the phone is not there, not authorised or offline, or there are several.
        """
        states = self._list()
        if not self._wanted and not states:
            raise DeviceError(
                f"{self.name}: no phone is attached; plug it in with USB debugging switched on, or reach it by "
                "`adb connect HOST:PORT`"
            )
        if not self._wanted and len(states) > 1:
            raise DeviceError(
                f"{self.name}: several phones are attached ({', '.join(states)}); name one by serial in ofa-hw.toml"
            )
        serial = self._wanted or next(iter(states))
        state = states.get(serial, "")
        if state == "unauthorized":
            raise DeviceError(f"{self.name}: {serial} does not trust this computer; unlock it and allow USB debugging")
        if state == "offline":
            raise DeviceError(f"{self.name}: {serial} is offline; plug it in again, or run `adb reconnect`")
        if state != "device":
            known = ", ".join(states) or "none"
            raise DeviceError(
                f"{self.name}: phone {serial} is not attached ({state or f'there are: {known}'}); plug it in"
            )
        self._serial = serial

    def shell(self, words: Sequence[str], *, seconds: float = _COMMAND_SECONDS) -> str:
        """Return what `words` print on the phone, each quoted for its shell.

        Raises:
            DeviceError: the command fails, or the phone is gone.
        """
        done = self._adb(["shell", shlex.join(words)], seconds=seconds)
        if done.returncode:
            raise DeviceError(self._reason(words[0], done))
        return done.stdout

    def tell(self, words: Sequence[str]) -> str:
        """Return what `words` print, or "" where the phone has no such command or file."""
        try:
            return self.shell(words).strip()
        except DeviceError:
            return ""

    def push(self, sources: Sequence[Path], target: str) -> None:
        """Copy the files `sources` into the folder `target`, or one of them to the path `target`."""
        for start in range(0, len(sources), _FILES_AT_ONCE):
            paths = [str(path) for path in sources[start : start + _FILES_AT_ONCE]]
            done = self._adb(["push", *paths, target], seconds=10 * _COMMAND_SECONDS)
            if done.returncode:
                raise DeviceError(self._reason("push", done))

    def make_folder(self) -> str:
        """Return the path of a new folder of our own."""
        folder = f"{_ROOT}/ofa-hw-{secrets.token_hex(6)}"
        self.shell(["mkdir", "-p", folder])
        return folder

    def remove_folder(self, folder: str) -> None:
        """Remove a folder of `make_folder`; where the phone is gone, it stays."""
        assert folder.startswith(f"{_ROOT}/ofa-hw-")
        self.tell(["rm", "-rf", folder])

    def _list(self) -> dict[str, str]:
        try:
            done = _run(["devices"], seconds=_COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{self.name}: adb's server must answer within {_COMMAND_SECONDS:g} s; run `adb kill-server`"
            ) from error
        rows = [line.split() for line in done.stdout.splitlines() if "\t" in line]
        return {row[0]: row[1] for row in rows if len(row) > 1}

    def _adb(self, words: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
        if not self._serial:
            self.check()
        try:
            return _run(["-s", self._serial, *words], seconds=seconds)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{self.name}: {words[0]} did not end within {seconds:g} s; is the phone awake?"
            ) from error

    def _reason(self, what: str, done: subprocess.CompletedProcess[str]) -> str:
        text = " ".join((done.stderr + done.stdout).split())[-300:]
        # The command may have failed with the same words for another reason: ask adb whether the phone is still there.
        if any(word in text.lower() for word in _GONE) and self._serial not in self._attached():
            return f"{self.name}: phone {self._serial} was unplugged; plug it in and go on with --resume ({text})"
        if "No space left" in text:
            return f"{self.name}: the phone is full; make room below {_ROOT} and go on with --resume ({text})"
        if "Exec format error" in text or "not executable" in text or done.returncode == 126:
            return f"{self.name}: benchmark_model is not for this phone's processor; take the one of its ABI ({text})"
        return f"{self.name}: {what} failed on the phone with code {done.returncode}: {text}"

    def _attached(self) -> list[str]:
        return [serial for serial, state in self._list().items() if state == "device"]


def _run(words: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    client = shutil.which("adb")
    if client is None:
        raise MissingDependencyError(
            "adb is not installed; install Android's platform tools (Debian: apt-get install adb)"
        )
    return subprocess.run(
        [client, *words], capture_output=True, text=True, errors="replace", timeout=seconds, check=False
    )
