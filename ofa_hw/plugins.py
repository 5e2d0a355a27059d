"""How profilers, devices and objectives are found: only by entry points, whichever package brings them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_hw.entry_points import bring, bring_all, names_of
from ofa_hw.errors import DeviceError, InvalidInputError, OfaHwError, or_nearest
from ofa_hw.profiling.device import Device, read_devices
from ofa_hw.profiling.protocol import Profiler

if TYPE_CHECKING:
    from ofa_hw.space import SearchSpace

PROFILERS_GROUP = "ofa_hw.profilers"
"""Each entry is a callable that takes a `Device`, or None for this machine, and returns a `Profiler`.

A profiler may have two more attributes: `transports`, the names of those that it knows (by default only `local`), and
`option_types`, the dataclasses that declare its options and those of its transport (by default none).
"""
DEVICES_GROUP = "ofa_hw.devices"
"""Each entry is a callable that takes nothing and returns a dict of `Device` by name."""
OBJECTIVES_GROUP = "ofa_hw.objectives"
"""Each entry is a callable that takes a `SearchSpace` and returns an `ofa_hw.cost.Objective` of the entry's name."""
OWN_DEVICES = Path("ofa-hw.toml")
"""The user's own devices, in the folder where a command is run."""


def list_profilers() -> tuple[str, ...]:
    """Return the names of the runtimes that have a profiler."""
    return names_of(PROFILERS_GROUP)


def get_profiler(name: str, device: Device | None = None) -> Profiler:
    """Return the profiler of the runtime `name`, on `device` or, with None, on this machine.

    Raises:
        InvalidInputError: there is no such profiler, it is broken, or it does not know the transport or an option of
            `device`; the message lists what there is.
    """
    if name not in list_profilers():
        where = "" if device is None else f"device {device.name!r}: "
        raise InvalidInputError(f"{where}no profiler {name!r}; there are {', '.join(list_profilers())}")
    # A device may be timed through another runtime than its own: options of its own are then carried along.
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
    """Return every known device by name; those of the file `own`, if it exists, replace others of the same name.

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
        raise InvalidInputError(
            f"no device {name!r}; there are {', '.join(devices)}, or describe it in {own}{or_nearest(name, devices)}"
        )
    return devices[name]


def load_objectives(space: SearchSpace) -> dict[str, Any]:
    """Return the objectives that plug-ins make for `space`, by their names."""

    def make(name: str, factory: Any) -> Any:
        objective = factory(space)
        if objective.name != name or objective.direction not in ("min", "max") or not callable(objective.evaluate):
            raise InvalidInputError("it must make an `ofa_hw.cost.Objective` of its own name")
        return objective

    return bring_all(OBJECTIVES_GROUP, make)
