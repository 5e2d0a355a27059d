"""Options that say how a device is reached, and the device that a table was measured on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ofa_hw.lut import LatencyTable
    from ofa_hw.profiling import Device

F = TypeVar("F", bound=Callable[..., Any])


def reach_options(function: F) -> F:
    """Add `--serial`, `--benchmark-model` and `--tune`, handed over under these names, None where not given."""
    options = (
        click.option("--serial", help="The phone, where several are attached: its serial number in `adb devices`."),
        click.option(
            "--benchmark-model", type=click.Path(dir_okay=False), help="TFLite's benchmark_model for the phone's ABI."
        ),
        click.option(
            "--tune",
            is_flag=True,
            default=None,
            help="Let TVM tune each function, which takes minutes, into a database that later runs use.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def changed(device: Device, **changes: Any) -> Device:
    """Return `device` with those of `changes` that are not None."""
    return device.changed(**{name: value for name, value in changes.items() if value is not None})


def device_of(table: LatencyTable) -> Device:
    """Return the device of `table`, set to the conditions under which the table was measured.

    Raises:
        InvalidInputError: there is no device of that name here; the message lists those there are.
    """
    from ofa_hw.plugins import find_device
    from ofa_hw.profiling import is_mask

    conditions = table.conditions
    return find_device(table.device).changed(
        runtime=conditions.runtime,
        num_threads=conditions.num_threads,
        cpu_mask=conditions.cpu_mask if is_mask(conditions.cpu_mask) else None,
        dtype=conditions.dtype,
        batch_size=conditions.batch_size,
    )
