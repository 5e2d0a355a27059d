"""Quantities as a person writes them: 30ms, 5M, 1.5MB, 76.2%, pixel=30ms."""

from __future__ import annotations

import re

from ofa_hw.errors import InvalidInputError

_UNITS = {
    "ms": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "bytes": {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30},
    "count": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9},
    "fraction": {"": 1.0, "%": 0.01},
}
_EXAMPLES = {"ms": "30ms", "bytes": "1.5MB", "count": "5M", "fraction": "0.76 or 76%"}


def read_quantity(text: str, unit: str) -> float:
    """Return the number that `text` tells, in `unit`: ms, bytes, count or fraction.

    Raises:
        InvalidInputError: it is no positive number with a suffix of that unit; a latency without one is refused.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z%]*)\s*", text)
    factor = _UNITS[unit].get(match[2].lower()) if match else None
    if match is None or factor is None or float(match[1]) <= 0:
        suffixes = ", ".join(suffix or "no suffix" for suffix in _UNITS[unit])
        raise InvalidInputError(f"must be a number above 0 with {suffixes}, such as {_EXAMPLES[unit]}; came {text!r}")
    return float(match[1]) * factor


def read_device_quantity(text: str, unit: str) -> tuple[str | None, float]:
    """Return the device, None where none is named, and the number of `pixel=30ms` or `30ms`."""
    device, separator, quantity = text.rpartition("=")
    return (device.strip() if separator else None), read_quantity(quantity, unit)
