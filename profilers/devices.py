"""The devices that ship with ofa-hw."""

from __future__ import annotations

from pathlib import Path

from ofa_hw.profiling.device import Device, read_devices


def list_devices() -> dict[str, Device]:
    """Return the devices of `devices.toml` by name."""
    return read_devices(Path(__file__).with_name("devices.toml"))
