"""The devices that come with this package."""

from __future__ import annotations

from ofa_hw.profiling import Device


def list_devices() -> dict[str, Device]:
    """Return them by name."""
    name = "host-plain-onnxruntime"
    description = "this machine: ONNX Runtime without optimisations, one core"
    return {name: Device(name=name, runtime="plain-onnxruntime", description=description)}
