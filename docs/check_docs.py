"""Check that the documentation says what the command line does.

Every command and every subcommand stands in README.md or below docs/; every `ofa-hw` line of a code block, and every
example in a command's help, is understood by the command line; every link to a file leads to one; every fenced block
of Python compiles.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ofa_hw.cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
GENERATED = (ROOT / "docs" / "reference" / "cli.md",)
"""Pages that docs/cli_reference.py adds to the site."""
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def documents() -> list[Path]:
    """Return the Markdown files that a user reads."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted(ROOT.glob("docs/**/*.md")),
    ]


def faults() -> Iterator[str]:
    """Yield one line for each fault."""
    texts = {path: path.read_text(encoding="utf-8") for path in documents()}
    yield from _commands_without_docs("\n".join(texts.values()))
    yield from _faults_of_help()
    for path, text in texts.items():
        name = path.relative_to(ROOT)
        yield from (f"{name}: {fault}" for fault in _faults_of_text(path, text))


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the words and the object of each command and subcommand."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None, name
        yield (name,), command
        if isinstance(command, click.Group):
            for sub_name, sub_command in command.commands.items():
                yield (name, sub_name), sub_command


def command_lines(text: str) -> Iterator[str]:
    """Yield the lines of `text` that call ofa-hw, continued lines joined, comments and what is piped into cut off."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|", line.strip().removeprefix("$ ").partition(" #")[0]):
            if part.strip().startswith("ofa-hw "):
                yield part.strip()


def misunderstood(line: str) -> str | None:
    """Return why the command line does not understand `line`, None where it does; nothing is run."""
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="ofa-hw")
    try:
        while isinstance(command, click.Group) and not _is_called_by_itself(command, words):
            if not words or words[0].startswith("-"):
                return (
                    None if set(words) <= {"--help", "--version"} else f"`{line}`: an option stands before the command"
                )
            found = command.get_command(context, words[0])
            if found is None:
                return f"`{line}`: no command {words[0]!r}"
            command, words = found, words[1:]
        command.make_context("ofa-hw", words, resilient_parsing="--help" in words)
    except click.exceptions.Exit:
        return None
    except click.ClickException as error:
        return f"`{line}`: {error.format_message()}"
    return None


def _is_called_by_itself(group: click.Group, words: list[str]) -> bool:
    """Return whether `words` are options of a group that does something without a command of its own."""
    return group.invoke_without_command and bool(words) and words[0].startswith("-")


def _commands_without_docs(text: str) -> Iterator[str]:
    for words, _ in every_command():
        if f"ofa-hw {' '.join(words)}" not in text:
            yield f"`ofa-hw {' '.join(words)}` stands neither in README.md nor below docs/"


def _faults_of_help() -> Iterator[str]:
    for words, command in every_command():
        name = " ".join(("ofa-hw", *words))
        examples = list(command_lines((command.help or "").replace("\b", "").partition("Example")[2]))
        if not any(line.startswith(name) for line in examples):
            yield f"{name} --help: must end in an example of the command"
        for line in examples:
            fault = misunderstood(line)
            if fault:
                yield f"{name} --help: {fault}"


def _faults_of_text(path: Path, text: str) -> Iterator[str]:
    for language, block in FENCE.findall(text):
        if language in ("sh", "bash", "console"):
            yield from filter(None, map(misunderstood, command_lines(block)))
        if language == "python":
            try:
                ast.parse(block)
            except SyntaxError as error:
                yield f"a block of Python does not compile: {error}"
    for target in LINK.findall(FENCE.sub("", text)):
        file = (path.parent / target).resolve()
        if "://" not in target and file not in GENERATED and not file.exists():
            yield f"the link to {target} leads nowhere"


if __name__ == "__main__":
    sys.exit("\n".join(faults()) or None)
