"""`Device`: where and through which runtime blocks are timed, as a `devices.toml` tells it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling.measurement import MeasurementPlan

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "str | None": (str, type(None)),
    "dict[str, Any]": (dict,),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """A device by name; what its runtime or transport has no use for stays at its default.

    `runtime` is a name of the entry-point group `ofa_hw.profilers`; `transport` is `local`, `adb`, `ssh` or `rpc`.
    `provider` is ONNX Runtime's. For ssh there are `host`, `port`, `user`, `identity_file`, `ssh_config` and the
    board's `python`; for adb the phone's `serial` and the path of a `benchmark_model` for it.
    For TVM: the `target` and the `cross_compiler` that links for it, `tune` and the folder `tune_database`; for rpc
    `host` and `port` of a server, or `tracker` as host:port and the `key` of the device there.

    Raises:
        InvalidInputError: a value has another type, or the name would not make a file name.
    """

    name: str
    runtime: str
    transport: str = "local"
    description: str = ""
    num_threads: int = 1
    cpu_mask: str | None = None
    dtype: str = "float32"
    batch_size: int = 1
    provider: str = "CPUExecutionProvider"
    host: str = ""
    port: int = 0
    user: str = ""
    identity_file: str = ""
    ssh_config: str = ""
    python: str = "python3"
    serial: str = ""
    benchmark_model: str = ""
    target: dict[str, Any] = dataclasses.field(default_factory=dict)
    cross_compiler: str = ""
    tracker: str = ""
    key: str = ""
    tune: bool = False
    tune_database: str = "tvm-database"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"a device's name must be letters, digits, dots, dashes, underscores; came {self.name!r}"
            )
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            expected = _TYPES[str(field.type)]
            if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
                raise InvalidInputError(f"device {self.name!r}: {field.name} must be {field.type}; came {value!r}")


def plan_for(
    device: Device, *, target_relative_ci: float = 0.01, max_seconds: float = 180.0, num_processes: int = 3
) -> MeasurementPlan:
    """Return the plan that measures under the conditions of `device`."""
    return MeasurementPlan(
        batch_size=device.batch_size,
        dtype=device.dtype,
        num_threads=device.num_threads,
        cpu_mask=device.cpu_mask,
        target_relative_ci=target_relative_ci,
        max_seconds=max_seconds,
        num_processes=num_processes,
    )


def parse_devices(content: Mapping[str, Any], *, origin: str) -> dict[str, Device]:
    """Return the devices of a TOML document with tables `[devices.NAME]`, by name.

    Raises:
        InvalidInputError: naming `origin`, the device and the key that is unknown, missing or of another type.
    """
    known = {field.name for field in dataclasses.fields(Device)} - {"name"}
    devices = {}
    for name, entries in content.get("devices", {}).items():
        if not isinstance(entries, dict):
            raise InvalidInputError(f"{origin}: devices must be tables [devices.NAME]; came {name} = {entries!r}")
        unknown = sorted(set(entries) - known)
        if unknown:
            raise InvalidInputError(
                f"{origin}: [devices.{name}] must hold {', '.join(sorted(known))}; came {', '.join(unknown)}"
            )
        if "runtime" not in entries:
            raise InvalidInputError(f"{origin}: [devices.{name}] must name its runtime")
        try:
            devices[name] = Device(name=name, **entries)
        except InvalidInputError as error:
            raise InvalidInputError(f"{origin}: {error}") from error
    return devices


def read_devices(path: str | Path) -> dict[str, Device]:
    """Return the devices that the TOML file at `path` describes; InvalidInputError where it is damaged."""
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: must be a TOML file of devices: {error}") from error
    return parse_devices(content, origin=str(path))
