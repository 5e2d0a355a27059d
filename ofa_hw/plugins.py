"""How profilers, devices and objectives are found: by entry points alone, whichever package brings them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_hw.entry_points import bring, bring_all, names_of
from ofa_hw.errors import DeviceError, InvalidInputError, OfaHwError
from ofa_hw.profiling.device import Device, read_devices
from ofa_hw.profiling.protocol import Profiler

if TYPE_CHECKING:
    from ofa_hw.space import SearchSpace

PROFILERS_GROUP = "ofa_hw.profilers"
"""Each entry is a callable: a `Device`, or None for this machine, to a `Profiler`.

A profiler may have `transports`, the names of those that it knows (only `local` where it has none), and `option_types`,
the dataclasses that declare the options of a device which it and its transport know (none).
"""
DEVICES_GROUP = "ofa_hw.devices"
"""Each entry is a callable: nothing to a dict of `Device` by name."""
OBJECTIVES_GROUP = "ofa_hw.objectives"
"""Each entry is a callable: a `SearchSpace` to an `ofa_hw.cost.Objective` of the entry's name."""
OWN_DEVICES = Path("ofa-hw.toml")
"""The user's own devices, in the folder where a command is run."""


def list_profilers() -> tuple[str, ...]:
    """Return the names of the runtimes that have a profiler."""
    return names_of(PROFILERS_GROUP)


def get_profiler(name: str, device: Device | None = None) -> Profiler:
    """Return the profiler of the runtime `name`, on `device` or, with None, on this machine.

    Raises:
        InvalidInputError: there is no such profiler, it is broken, or knows the transport or an option of `device` not;
            the message lists what there is.
    """
    if name not in list_profilers():
        where = "" if device is None else f"device {device.name!r}: "
        raise InvalidInputError(f"{where}no profiler {name!r}; there are {', '.join(list_profilers())}")
    wanted = None if device is None else device.changed(runtime=name)

    def make(_: str, factory: Any) -> Profiler:
        profiler: Profiler = factory(wanted)
        if wanted is not None:
            wanted.require_transport(getattr(profiler, "transports", ("local",)))
            wanted.check_options(*getattr(profiler, "option_types", ()))
        return profiler

    return bring(PROFILERS_GROUP, name, make)


def ask_device(device: Device) -> Mapping[str, str]:
    """Return the state of a device that answers now.

    Raises:
        OfaHwError: it does not answer, or its profiler is broken; the message says why.
    """
    try:
        profiler = get_profiler(device.runtime, device)
        profiler.check()
        return profiler.state()
    except OfaHwError:
        raise
    except Exception as error:  # whatever code of others leads to
        raise DeviceError(f"its profiler {device.runtime} is broken ({type(error).__name__}: {error})") from error


def list_devices(own: Path = OWN_DEVICES) -> dict[str, Device]:
    """Return every known device by name; those of the file `own`, where it exists, replace others of their name.

    Raises:
        InvalidInputError: `own` is damaged; the message names the device and the key.
    """
    devices: dict[str, Device] = {}
    for brought in bring_all(DEVICES_GROUP, _devices_of).values():
        devices |= brought
    return devices | (read_devices(own) if own.exists() else {})


def _devices_of(_: str, list_brought: Any) -> dict[str, Device]:
    devices = list_brought()
    if not isinstance(devices, dict) or not all(isinstance(device, Device) for device in devices.values()):
        raise InvalidInputError("it must list a dict of `Device` by name")
    return devices


def find_device(name: str, own: Path = OWN_DEVICES) -> Device:
    """Return the device `name`; InvalidInputError lists the names where there is none."""
    devices = list_devices(own)
    if name not in devices:
        raise InvalidInputError(f"no device {name!r}; there are {', '.join(devices)}, or describe it in {own}")
    return devices[name]


def load_objectives(space: SearchSpace) -> dict[str, Any]:
    """Return the objectives that plug-ins make for `space`, by their names."""

    def make(name: str, factory: Any) -> Any:
        objective = factory(space)
        if objective.name != name or objective.direction not in ("min", "max") or not callable(objective.evaluate):
            raise InvalidInputError("it must make an `ofa_hw.cost.Objective` of its own name")
        return objective

    return bring_all(OBJECTIVES_GROUP, make)
