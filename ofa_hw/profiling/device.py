"""`Device`: where and through which runtime blocks are timed, as a `devices.toml` describes it."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ofa_hw.errors import InvalidInputError
from ofa_hw.files import read_toml
from ofa_hw.profiling.measurement import DTYPES, MeasurementPlan, cores_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Options = TypeVar("Options", bound=DataclassInstance)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """A device by name, and the conditions under which it is measured.

    `runtime` is a name of the entry-point group `ofa_hw.profilers`; `transport` is how the device is reached, one of
    those that the runtime knows. `options` are all other keys. The runtime and the transport declare theirs as
    dataclasses: `read` returns one of these, and `check_options` refuses options that none of them has. `carried` names
    options that were given for another runtime, which this one may ignore.

    Raises:
        InvalidInputError: a value has another type or is out of range, or the name would not make a file name.
    """

    name: str
    runtime: str
    transport: str = "local"
    description: str = ""
    num_threads: int = 1
    cpu_mask: str | None = None
    dtype: str = "float32"
    batch_size: int = 1
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    carried: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"a device's name must be letters, digits, dots, dashes, underscores; came {self.name!r}"
            )
        _check_types(self.name, Device, {field: getattr(self, field) for field in COMMON})
        if self.dtype not in DTYPES:
            raise InvalidInputError(
                f"device {self.name!r}: dtype must be one of {', '.join(DTYPES)}; came {self.dtype!r}"
            )
        for field in ("num_threads", "batch_size"):
            if getattr(self, field) < 1:
                raise InvalidInputError(f"device {self.name!r}: {field} must be 1 or more; came {getattr(self, field)}")
        if self.cpu_mask is not None:
            try:
                cores_of(self.cpu_mask)
            except InvalidInputError as error:
                raise InvalidInputError(f"device {self.name!r}: {error}") from error

    def changed(self, **entries: Any) -> Device:
        """Return this device with `entries`, keys of a `devices.toml`: those that not all devices have become options.

        If the runtime changes, the options that were there are carried along, since the new one may know some of them.
        """
        common = {key: value for key, value in entries.items() if key in COMMON}
        options = {key: value for key, value in entries.items() if key not in COMMON}
        is_other = common.get("runtime", self.runtime) != self.runtime
        carried = self.carried | set(self.options) if is_other else self.carried
        return dataclasses.replace(
            self, **common, options={**self.options, **options}, carried=carried.difference(options)
        )

    def read(self, kind: type[Options]) -> Options:
        """Return the options that the dataclass `kind` declares, defaults where the device names none.

        Raises:
            InvalidInputError: one has another type, or one without a default is missing.
        """
        fields = dataclasses.fields(kind)
        given = {field.name: self.options[field.name] for field in fields if field.name in self.options}
        _check_types(self.name, kind, given)
        none = dataclasses.MISSING
        for field in fields:
            if field.name not in given and field.default is none and field.default_factory is none:
                raise InvalidInputError(f"device {self.name!r}: {self._way} needs {field.name}")
        return kind(**given)

    def check_options(self, *kinds: type[DataclassInstance]) -> None:
        """Check that each option is a field of one of the dataclasses `kinds`, and of its type.

        Raises:
            InvalidInputError: naming the options that are not known, and those that are.
        """
        known = {field.name for kind in kinds for field in dataclasses.fields(kind)}
        unknown = sorted(set(self.options) - known - self.carried)
        if unknown:
            names = ", ".join(sorted(known)) or "of all devices alone"
            raise InvalidInputError(
                f"device {self.name!r}: {self._way} takes the options {names} (all devices: {', '.join(COMMON)}); came "
                f"{', '.join(unknown)}"
            )
        for kind in kinds:
            self.read(kind)

    def require_transport(self, known: Collection[str]) -> None:
        """Check that the transport is one of `known`; InvalidInputError names them."""
        if self.transport not in known:
            raise InvalidInputError(
                f"device {self.name!r}: {self.runtime} is reached by {' or '.join(known)}; came transport "
                f"{self.transport!r}"
            )

    @property
    def _way(self) -> str:
        return f"runtime {self.runtime} by transport {self.transport}"


COMMON = tuple(field.name for field in dataclasses.fields(Device) if field.name not in {"name", "options", "carried"})
"""What every device has beside its name; other keys of a `devices.toml` are options."""


def _check_types(name: str, kind: type[DataclassInstance], values: Mapping[str, Any]) -> None:
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            wanted = str(getattr(hints[key], "__name__", hints[key]))
            raise InvalidInputError(f"device {name!r}: {key} must be {wanted}; came {value!r}")


def _fits(value: object, hint: Any) -> bool:
    """Return whether `value`, as TOML gives it, has the type `hint`; a whole number is a float too."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    kind = origin or hint
    # bool is a kind of int, but true is no number of threads.
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


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

    Keys that not all devices have are options; the runtime and the transport check them where the device is used,
    since only they know them.

    Raises:
        InvalidInputError: naming `origin`, the device and the key that is missing or of another type.
    """
    tables = content.get("devices", {})
    if not isinstance(tables, dict):
        raise InvalidInputError(f"{origin}: devices must be tables [devices.NAME]; came devices = {tables!r}")
    devices = {}
    for name, entries in tables.items():
        if not isinstance(entries, dict):
            raise InvalidInputError(f"{origin}: devices must be tables [devices.NAME]; came {name} = {entries!r}")
        if "runtime" not in entries:
            raise InvalidInputError(f"{origin}: [devices.{name}] must name its runtime")
        try:
            devices[name] = Device(name=name, runtime=entries["runtime"]).changed(**entries)
        except InvalidInputError as error:
            raise InvalidInputError(f"{origin}: {error}") from error
    return devices


def read_devices(path: str | Path) -> dict[str, Device]:
    """Return the devices that the TOML file at `path` describes; InvalidInputError where it is damaged."""
    try:
        content = read_toml(path)
    except OSError as error:
        raise InvalidInputError(f"{path}: must be a TOML file of devices: {error.strerror}") from error
    return parse_devices(content, origin=str(path))
