"""Our side of a worker: a child process, here or through ssh, with which we exchange lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from ofa_hw.errors import DeviceError, MissingDependencyError
from profilers.answers import one_line, read_answer

ANSWER_SECONDS = 60.0
"""How long an answer may take at most, unless the caller says otherwise."""
_CLOSE_SECONDS = 10
_MOST_SECONDS = 1e6
"""Timers refuse much more."""


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
        self._is_late = False
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # In a session of its own, so that it can be ended with all that it has started.
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=env,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any], *, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return the answer to `request`, for which the worker has `seconds`.

        Raises:
            MissingDependencyError, DeviceError: the worker refuses, has ended, answers in another form, or not in time;
                then it is killed.
        """
        assert self._process.stdout is not None
        with self._within(seconds):
            self.send(request)
            line = self._process.stdout.readline()
        if self._is_late:
            raise DeviceError(
                f"{self.name}: the worker must answer {request['op']!r} within {seconds:g} s, and was ended; give more "
                "time, or leave out the model that takes so long"
            )
        if not line:
            raise DeviceError(f"{self.name}: {self._how_it_ended()}")
        try:
            answer = read_answer(line, request)
        except ValueError as error:
            raise DeviceError(f"{self.name}: the worker is not understood: {error}") from error
        if not answer["ok"] and answer.get("missing"):
            raise MissingDependencyError(f"{self.name}: {answer['error']}")
        if not answer["ok"] and answer.get("index") is None:
            raise DeviceError(f"{self.name}: {answer['error']}")
        return answer

    def send(self, value: object) -> None:
        """Write `value` as one line of JSON; a worker that has ended is noticed when its answer is read."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End the process: by a request, and by force if it does not obey, or if this is interrupted."""
        assert self._process.stdin is not None
        try:
            with self._within(_CLOSE_SECONDS):
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write('{"op": "close"}\n')
                    self._process.stdin.close()
                self._process.wait()
        finally:
            self._kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._stderr.close()

    @contextlib.contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Kill the worker if what is done in here takes longer: whoever waits for its pipe then wakes up."""
        timer = threading.Timer(min(seconds, _MOST_SECONDS), self._end_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end_late(self) -> None:
        self._is_late = True
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:  # pragma: no cover - Windows has no groups of processes
                self._process.kill()

    def _how_it_ended(self) -> str:
        with self._within(_CLOSE_SECONDS):
            code = self._process.wait()
        self._stderr.seek(0)
        return self._explain(code, one_line(self._stderr.read().decode(errors="replace")))


def _ended(code: int, text: str) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"the worker {how}" + (f": {text[-300:]}" if text else "")
