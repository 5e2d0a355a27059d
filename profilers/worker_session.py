"""The near end of a worker: a child process that is spoken to in lines of JSON, here or through ssh."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError, MissingDependencyError
from ofa_hw.profiling.protocol import Times

_CLOSE_SECONDS = 10


class WorkerProcess:
    """A running worker; every call is one request and its answer."""

    def __init__(self, command: Sequence[str], *, name: str, env: Mapping[str, str] | None = None) -> None:
        """Start `command`; `name` says in errors whose worker it is."""
        self.name = name
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=env, text=True
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to `request`.

        Raises:
            MissingDependencyError, DeviceError: the worker says no, or has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise DeviceError(f"{self.name}: {self._how_it_ended()}")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"] and answer.get("missing"):
            raise MissingDependencyError(f"{self.name}: {answer['error']}")
        if not answer["ok"] and "index" not in answer:
            raise DeviceError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process, politely if it still listens."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write('{"op": "close"}\n')
            self._process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
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
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the worker {how}" + (f": {' '.join(lines[-1].split())[:300]}" if lines else "")


class WorkerSession:
    """A `Session` in a worker: models are NHWC or NCHW files that it has opened."""

    def __init__(
        self,
        worker: WorkerProcess,
        request: dict[str, Any],
        *,
        names: Sequence[str],
        is_nhwc: bool,
        on_close: Callable[[], None],
    ) -> None:
        """Let `worker` open the models of `request`; `on_close` is called when all is over, also when this fails.

        Raises:
            DeviceError: naming the workload that cannot be built.
        """
        self._worker, self._is_nhwc, self._on_close = worker, is_nhwc, on_close
        try:
            answer = worker.ask({"op": "open", **request})
            if not answer["ok"]:
                raise DeviceError(f"{worker.name} cannot build {names[answer['index']]}: {answer['error']}")
        except BaseException:
            self.close()
            raise
        self.marks = tuple(answer["marks"])

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the output of the model with this index, BCHW or logits."""
        x = np.ascontiguousarray(x_BCHW.transpose(0, 2, 3, 1) if self._is_nhwc else x_BCHW)
        text = base64.b64encode(x.tobytes()).decode()
        answer = self._worker.ask({"op": "run", "index": index, "input": text, "shape": list(x.shape)})
        y = np.frombuffer(base64.b64decode(answer["output"]), np.float32).reshape(answer["shape"])
        return y.transpose(0, 3, 1, 2) if self._is_nhwc and y.ndim == 4 else y

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        """Return the times of the models in `order`."""
        answer = self._worker.ask({"op": "time", "order": list(order), "repeats": list(repeats)})
        return Times(
            ms=tuple(answer["ms"]), is_disturbed=tuple(answer["disturbed"]), others_load=float(answer["others_load"])
        )

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
        self._on_close()
