"""The near end of a worker: a child process that is spoken to in lines of JSON, here or through ssh."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from ofa_hw.errors import DeviceError, MissingDependencyError

_CLOSE_SECONDS = 10


class WorkerProcess:
    """A running worker; every call is one request and its answer."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        explain: Callable[[int, str], str] | None = None,
    ) -> None:
        """Start `command`.

        `name` says in errors whose worker it is; `explain` makes a reason of an exit code and of what was written to
        stderr, where the command may fail in ways of its own.
        """
        self.name = name
        self._explain = explain or _ended
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=env, text=True
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to `request`.

        Raises:
            MissingDependencyError, DeviceError: the worker says no, or has ended.
        """
        assert self._process.stdout is not None
        self.send(request)
        line = self._process.stdout.readline()
        if not line:
            raise DeviceError(f"{self.name}: {self._how_it_ended()}")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"] and answer.get("missing"):
            raise MissingDependencyError(f"{self.name}: {answer['error']}")
        if not answer["ok"] and "index" not in answer:
            raise DeviceError(f"{self.name}: {answer['error']}")
        return answer

    def send(self, value: object) -> None:
        """Write `value` as one line of JSON; a worker that has ended is noticed when its answer is read."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End the process, politely if it still listens."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write('{"op": "close"}\n')
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        return self._explain(code, " ".join(self._stderr.read().decode(errors="replace").split()))


def _ended(code: int, text: str) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"the worker {how}" + (f": {text[-300:]}" if text else "")
