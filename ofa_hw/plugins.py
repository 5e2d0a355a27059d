"""How profilers, devices and objectives are found: only by entry points, whichever package brings them."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from ofa_hw.errors import InvalidInputError, or_nearest
from ofa_hw.profiling.device import Device, read_devices
from ofa_hw.profiling.protocol import Profiler

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
    return tuple(sorted({entry.name for entry in importlib.metadata.entry_points(group=PROFILERS_GROUP)}))


def get_profiler(name: str, device: Device | None = None) -> Profiler:
    """Return the profiler of the runtime `name`, on `device` or, with None, on this machine.

    Raises:
        InvalidInputError: there is no such profiler, or it does not know the transport or an option of `device`; the
            message lists what there is.
    """
    for entry in importlib.metadata.entry_points(group=PROFILERS_GROUP, name=name):
        if device is None:
            profiler: Profiler = entry.load()(None)
            return profiler
        # A device may be timed through another runtime than its own: options of its own are then carried along.
        device = device.changed(runtime=name)
        profiler = entry.load()(device)
        device.require_transport(getattr(profiler, "transports", ("local",)))
        device.check_options(*getattr(profiler, "option_types", ()))
        return profiler
    where = "" if device is None else f"device {device.name!r}: "
    raise InvalidInputError(f"{where}no profiler {name!r}; there are {', '.join(list_profilers())}")


def list_devices(own: Path = OWN_DEVICES) -> dict[str, Device]:
    """Return every known device by name; those of the file `own`, if it exists, replace others of the same name.

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
    """Return the callable of each objective that a plug-in brings, by its name."""
    return {entry.name: entry.load() for entry in sorted(importlib.metadata.entry_points(group=OBJECTIVES_GROUP))}
