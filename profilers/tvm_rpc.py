"""TVM's RPC: a server on the device, reached directly or through a tracker."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.protocol import Times
from profilers.tvm_build import import_tvm
from profilers.tvm_tune import run_on

_CONNECT_SECONDS = 5
_SESSION_SECONDS = 3600


@dataclasses.dataclass(frozen=True, kw_only=True)
class RpcOptions:
    """Where the server of a device is: `host` and `port`, or the `tracker` as host:port and the device's `key`."""

    host: str = ""
    port: int = 0
    tracker: str = ""
    key: str = ""


class RpcConnection:
    """Where the server of a device is."""

    def __init__(self, device: Device) -> None:
        """Read the addresses of `device`; InvalidInputError where it names neither server nor tracker."""
        options = device.read(RpcOptions)
        self._name, self._key = device.name, options.key
        self._through_tracker = bool(options.tracker)
        host, _, port = (options.tracker or f"{options.host}:{options.port}").rpartition(":")
        if not host or not port.isdigit() or int(port) == 0 or (options.tracker and not options.key):
            raise InvalidInputError(
                f"device {device.name!r}: transport rpc needs host and port of a TVM server, or tracker as host:port "
                f"and a key; came {options.tracker or host + ':' + port!r}"
            )
        self._host, self._port = host, int(port)

    @property
    def address(self) -> str:
        """Where it is, for people."""
        what = f"key {self._key} of the tracker at" if self._through_tracker else "server at"
        return f"TVM RPC {what} {self._host}:{self._port}"

    def check(self) -> None:
        """Check that something listens and, through a tracker, that a device of the key is registered.

        A plain socket is tried first, since TVM itself keeps trying a dead tracker for ten minutes.

        Raises:
            DeviceError: nothing answers, or no device of the key is registered.
        """
        try:
            socket.create_connection((self._host, self._port), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            module = "tvm.exec.rpc_tracker" if self._through_tracker else "tvm.exec.rpc_server"
            raise DeviceError(
                f"{self._name}: nothing listens at {self._host}:{self._port} ({error}); start "
                f"`python -m {module} --host {self._host} --port {self._port}` there"
            ) from error
        if self._through_tracker:
            self._check_key()

    def connect(self) -> Any:
        """Return a new session of the server."""
        self.check()
        from tvm import rpc

        try:
            if self._through_tracker:
                tracker = rpc.connect_tracker(self._host, self._port)
                return tracker.request(self._key, session_timeout=_SESSION_SECONDS, max_retry=1)
            return rpc.connect(self._host, self._port, key=self._key, session_timeout=_SESSION_SECONDS)
        except Exception as error:
            raise DeviceError(f"{self._name}: no session of the {self.address}: {_one_line(error)}") from error

    def run(self, path: Path, shapes: list[tuple[int, ...]]) -> list[float]:
        """Return the seconds that the function of a library takes on the device; for tuning."""
        session = self.connect()
        session.upload(bytearray(path.read_bytes()), target=path.name)
        return run_on(session.cpu(), session.load_module(path.name), shapes)

    def _check_key(self) -> None:
        from tvm import rpc

        summary = rpc.connect_tracker(self._host, self._port).summary()
        keys = sorted({str(info["key"]).removeprefix("server:") for info in summary["server_info"]})
        if self._key not in keys:
            raise DeviceError(
                f"{self._name}: the tracker at {self._host}:{self._port} must know key {self._key!r}; it knows "
                f"{', '.join(keys) or 'none'}: start a server there with --tracker and --key {self._key}"
            )


class RpcSession:
    """Libraries in one process of the server."""

    def __init__(
        self, session: Any, libraries: Sequence[bytes], *, shapes: Sequence[Sequence[int]], num_threads: int, name: str
    ) -> None:
        """Upload and load `libraries`, whose inputs have `shapes`."""
        tvm = import_tvm()
        self._name, self._session, self._shapes = name, session, shapes
        self._device = session.cpu()
        self.marks = ("",) * len(libraries)
        self._uploaded: list[str] = []
        self._machines: list[Any] = []
        with self._explained("load the libraries"):
            # 1 asks for big cores first.
            session.get_function("runtime.config_threadpool")(1, num_threads)
            for index, content in enumerate(libraries):
                self._uploaded.append(f"ofa-hw-{index}.so")
                session.upload(bytearray(content), target=self._uploaded[-1])
                library = session.load_module(self._uploaded[-1])
                self._machines.append(tvm.relax.VirtualMachine(library, self._device))
            for index, shape in enumerate(shapes):
                self._bind(index, np.zeros(tuple(shape), np.float32))

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the output of the library with this index."""
        with self._explained("run"):
            x = self._bind(index, x_BCHW)
            machine = self._machines[index]
            machine.set_input("main", x)
            machine.invoke_stateful("main")
            output: npt.NDArray[np.float32] = machine.get_outputs("main").numpy()
        return output

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        """Return what the evaluator on the device measures for each library of `order`."""
        ms = []
        with self._explained("time"):
            for index, count in zip(order, repeats, strict=True):
                # The evaluator executes once untimed before it begins.
                evaluate = self._machines[index].time_evaluator("bound", self._device, number=count, repeat=1)
                ms.append(float(evaluate().mean) * 1e3)
        return Times(ms=tuple(ms), is_disturbed=(False,) * len(ms))

    def close(self) -> None:
        """Remove the libraries and end the process on the device."""
        self._machines.clear()
        # Where the device is gone, there is nobody to clean up for.
        with contextlib.suppress(Exception):
            for name in self._uploaded:
                self._session.remove(name)
        # TVM ends a connection when the last object of it is gone, and serves nobody else before that.
        self._session = self._device = None
        gc.collect()

    def _bind(self, index: int, x: npt.NDArray[np.float32]) -> Any:
        tensor = import_tvm().runtime.tensor(x, self._device)
        # Bound once, so that a timed call neither copies its input nor sends it over the network.
        self._machines[index].save_function("main", "bound", tensor, include_return=False)
        return tensor

    @contextlib.contextmanager
    def _explained(self, what: str) -> Any:
        try:
            yield
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError(
                f"{self._name}: the device could not {what}; where it is back, go on with --resume ({_one_line(error)})"
            ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
