"""The reference of the command line, made from the commands themselves; also a hook of mkdocs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ofa_hw.cli.main import COMMANDS, main

PAGE = "reference/cli.md"
INTRODUCTION = """\
Results go to stdout, progress and remarks to stderr. The exit code is 0; 1 for a failure, which is told in one line; 2
where the command line is not understood; 130 after an interrupt.

Your shell completes commands and options after `eval "$(_OFA_HW_COMPLETE=bash_source ofa-hw)"`; zsh and fish have
`zsh_source` and `fish_source`."""


def reference() -> str:
    """Return the page: each command with its help, its arguments and its options."""
    parts = ["# The command line", INTRODUCTION]
    context = click.Context(main, info_name="ofa-hw")
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None, name
        parts += _told(command, click.Context(command, info_name=name, parent=context), level=2)
    return "\n\n".join(parts) + "\n"


def _told(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path.removeprefix('ofa-hw ')}"
    text, _, examples = (command.help or "").replace("\b", "").partition("Example")
    yield "\n".join(line.strip() for line in text.strip().splitlines())
    yield f"```text\n{command.get_usage(context)}\n```"
    rows = [row for row in (_row(parameter, context) for parameter in command.params) if row]
    if rows:
        yield "\n".join(["| option | what it is |", "| --- | --- |", *rows])
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    if lines:
        yield "```sh\n" + "\n".join(lines) + "\n```"
    if isinstance(command, click.Group):
        for name, sub_command in command.commands.items():
            yield from _told(sub_command, click.Context(sub_command, info_name=name, parent=context), level + 1)


def _row(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, help_text = (text.replace("|", "\\|") for text in record)
    return f"| `{names}` | {help_text} |"


def on_files(files: Any, config: Any) -> Any:
    """Add the page to the site (a hook of mkdocs)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files
