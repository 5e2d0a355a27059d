"""`ofa-hw devices`: which devices there are, and which answer now."""

from __future__ import annotations

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
    from ofa_hw.errors import OfaHwError
    from ofa_hw.plugins import get_profiler, list_devices

    rows = []
    for device in list_devices().values():
        reason = ""
        try:
            get_profiler(device.runtime, device).check()
        except OfaHwError as error:
            reason = " ".join(str(error).split())
        rows.append(
            {
                "device": device.name,
                "runtime": device.runtime,
                "transport": device.transport,
                "answers": not reason,
                "reason": reason,
                "description": device.description,
            }
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ["device", "runtime", "transport", "answers", "what it is, or why not"],
        [
            (
                row["device"],
                row["runtime"],
                row["transport"],
                "yes" if row["answers"] else "no",
                row["description"] if row["answers"] else row["reason"],
            )
            for row in rows
        ],
    )
