"""`ofa-hw devices`: which devices there are, and which answer now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from ofa_hw.cli.console import print_json, print_table
from ofa_hw.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the devices that can be measured: which answer now, and why the others do not.

    Devices of your own stand in ofa-hw.toml in the working folder, in tables [devices.NAME].

    \b
    Example:
      ofa-hw devices
    """
    from ofa_hw.plugins import list_devices

    # A board that is switched off takes its time to say nothing; they are asked all at once.
    with ThreadPoolExecutor() as threads:
        rows = list(threads.map(_ask, list_devices().values()))
    if as_json:
        print_json(rows)
        return
    print_table(
        ["device", "runtime", "transport", "answers", "what it is, or why it does not answer"],
        [
            (row["device"], row["runtime"], row["transport"], "yes" if row["answers"] else "no", row["told"])
            for row in rows
        ],
    )


def _ask(device: Any) -> dict[str, Any]:
    """Return what is known of a device, and whether it answers now."""
    from ofa_hw.errors import OfaHwError
    from ofa_hw.plugins import ask_device

    reason, answers = device.description, True
    try:
        ask_device(device)
    except OfaHwError as error:
        reason, answers = " ".join(str(error).removeprefix(f"{device.name}: ").split()), False
    return {
        "device": device.name,
        "runtime": device.runtime,
        "transport": device.transport,
        "answers": answers,
        "told": reason,
        "description": device.description,
    }
