"""`ofa-hw doctor`: what is installed here and how quiet the machine is."""

from __future__ import annotations

import click

from ofa_hw.cli.console import echo, print_facts, print_json, print_table
from ofa_hw.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Tell what is installed here, which devices answer, how quiet the machine is, and what to do about it.

    \b
    Example:
      ofa-hw doctor
    """
    from ofa_hw.doctor import NOISE_LIMIT, examine

    found = examine()
    if as_json:
        print_json(found.to_dict())
        return
    noise = f"{100 * found.clock_noise:.1f} % above its least ({100 * NOISE_LIMIT:.0f} % or less is quiet)"
    print_facts(
        [
            ("ofa-hw", found.tool_version),
            ("Python", found.python),
            ("system", found.system),
            ("cores", f"{found.num_cores}, load {found.load:.1f}"),
            ("free memory", f"{found.memory_free_gb:.1f} GB"),
            ("noise of the clock", noise),
        ],
        title="machine",
    )
    print_table(
        ("package", "version", "extra"),
        [(package.name, package.version or "missing", package.extra or "core") for package in found.packages],
    )
    print_table(
        ("device", "runtime", "threads", "answers", "governor", "clock", "host, or why not"),
        [
            (
                device.name,
                device.runtime,
                device.num_threads,
                "yes" if device.answers else "no",
                device.state.get("governor"),
                device.state.get("clocks"),
                device.state.get("host", device.reason),
            )
            for device in found.devices
        ],
    )
    for sentence in found.advice or ("All is well.",):
        echo(sentence)
