"""How profilers, devices and objectives are found: by entry points alone, whichever package brings them."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from ofa_hw.errors import InvalidInputError, or_nearest
from ofa_hw.profiling.device import Device, read_devices
from ofa_hw.profiling.protocol import Profiler

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
    return tuple(sorted({entry.name for entry in importlib.metadata.entry_points(group=PROFILERS_GROUP)}))


def get_profiler(name: str, device: Device | None = None) -> Profiler:
    """Return the profiler of the runtime `name`, on `device` or, with None, on this machine.

    Raises:
        InvalidInputError: there is no such profiler, or it knows the transport or an option of `device` not; the
            message lists what there is.
    """
    for entry in importlib.metadata.entry_points(group=PROFILERS_GROUP, name=name):
        if device is None:
            profiler: Profiler = entry.load()(None)
            return profiler
        device = device.changed(runtime=name)
        profiler = entry.load()(device)
        device.require_transport(getattr(profiler, "transports", ("local",)))
        device.check_options(*getattr(profiler, "option_types", ()))
        return profiler
    where = "" if device is None else f"device {device.name!r}: "
    raise InvalidInputError(f"{where}no profiler {name!r}; there are {', '.join(list_profilers())}")


def list_devices(own: Path = OWN_DEVICES) -> dict[str, Device]:
    """Return every known device by name; those of the file `own`, where it exists, replace others of their name.

    Raises:
        InvalidInputError: `own` is damaged; the message names the device and the key.
    """
    devices: dict[str, Device] = {}
    for entry in sorted(importlib.metadata.entry_points(group=DEVICES_GROUP)):
        devices |= entry.load()()
    return devices | (read_devices(own) if own.exists() else {})


def find_device(name: str, own: Path = OWN_DEVICES) -> Device:
    """Return the device `name`; InvalidInputError lists the names where there is none."""
    devices = list_devices(own)
    if name not in devices:
        raise InvalidInputError(
            f"no device {name!r}; there are {', '.join(devices)}, or describe it in {own}{or_nearest(name, devices)}"
        )
    return devices[name]


def load_objectives() -> dict[str, Any]:
    """Return what makes each objective of a plug-in, by its name."""
    return {entry.name: entry.load() for entry in sorted(importlib.metadata.entry_points(group=OBJECTIVES_GROUP))}
