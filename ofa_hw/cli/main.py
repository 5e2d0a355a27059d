"""The entry point: finds a command's module when it is called, and tells every failure in one line."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import shlex
import signal
import sys
import tempfile
from typing import Any, NoReturn

import click

from ofa_hw import __version__
from ofa_hw.cli.console import echo, shown
from ofa_hw.cli.words import Commands
from ofa_hw.errors import OfaHwError
from ofa_hw.files import sweep

FAULT = 70
"""The exit code of a failure that nobody foresaw, as of sysexits.h."""

COMMANDS = {
    "demo": "Run the whole pipeline on built-in images, in minutes.",
    "train": "Train a supernet: every network of a space in one.",
    "import-checkpoint": "Make a run of a once-for-all checkpoint.",
    "data": "Give imported weights their images.",
    "sample": "Evaluate random subnets of the trained supernet.",
    "fit": "Fit the accuracy predictor to the evaluated subnets.",
    "profile": "Measure every block of a space on a device.",
    "calibrate": "Correct a latency table by whole networks on its device.",
    "search": "Search the front of accuracy and latency.",
    "verify": "Evaluate and time the front's networks for real.",
    "finetune": "Fine-tune a network of the supernet.",
    "export": "Write a network for its runtime, checked against torch.",
    "predict": "Classify images by an exported network.",
    "runs": "List the runs: how far each is, and its best networks.",
    "report": "Make the report of a run.",
    "bench": "Time a suite of models; fail where one is slower.",
    "lut": "Show, validate and compare latency tables.",
    "devices": "List the devices that can be measured.",
    "space": "Show the spaces of architectures, and begin one.",
    "doctor": "Tell what is installed here and how quiet the machine is.",
}
"""Each command with its summary, in the order of the work; the rest is in the module of its name."""


class LazyGroup(Commands):
    """The group of `COMMANDS`, none of which is imported before it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, whose module is imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ofa_hw.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from `COMMANDS` alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a process of its own: Ctrl-C ends it with 130 however often it comes, any terminal can print it."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a letter that the terminal lacks is told by its number
                stream.reconfigure(errors="backslashreplace")
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        sweep(tempfile.gettempdir())
        return super().__call__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words of the command line, for the advice after an interrupt."""
        ctx.meta["ofa_hw.words"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an expected failure is one line and exit code 1, Ctrl-C 130, any other fault 70."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if signal.getsignal(signal.SIGINT) is _interrupt:
                signal.signal(signal.SIGINT, _end_at_once)
            echo(f"Interrupted; what was finished is kept. Go on with: {_words_to_go_on(self, ctx)}", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            _end_quietly()
        except (OfaHwError, OSError) as error:
            logging.getLogger(__name__).debug("where it failed", exc_info=True)
            message = message_of(error)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                message += f"; make room and go on with: {_words_to_go_on(self, ctx)}"
            raise click.ClickException(shown(message)) from error
        except click.ClickException as error:
            vars(error)["message"] = shown(error.message)
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("OFA_HW_DEBUG"):
                raise
            words = f"ofa-hw {ctx.invoked_subcommand or ''}".rstrip()
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            echo(
                f"Error: {words} met a fault of its own ({told}); OFA_HW_DEBUG=1 shows where: please report it",
                err=True,
            )
            ctx.exit(FAULT)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, _end_at_once)
    raise KeyboardInterrupt


def _end_at_once(*_: object) -> NoReturn:
    # Files are whole or absent at any moment, workers end with us; what is being cleaned up is swept at the next start.
    os._exit(130)


_MAX_LINE = 2000
"""What came may be long; what to do stands at the end."""


class StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the moment, so that a line stands above a progress bar; warnings say so."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = f"{record.levelname}: " if record.levelno > logging.INFO else ""
        echo(level + self.format(record), err=True)


def message_of(error: Exception) -> str:
    """Return what went wrong as one line."""
    message = str(error)
    if isinstance(error, OSError):
        message = error.strerror or message or type(error).__name__
        if error.filename is not None:
            message += f": {error.filename}"
    line = " ".join(message.split())
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE // 2]} ... {line[-_MAX_LINE // 2 :]}"


def _words_to_go_on(group: LazyGroup, ctx: click.Context) -> str:
    """Return the command line that goes on where this one ended."""
    words: list[str] = ctx.meta["ofa_hw.words"]
    command = group.get_command(ctx, ctx.invoked_subcommand or "")
    can_resume = command is not None and any("--resume" in parameter.opts for parameter in command.params)
    if can_resume and "--resume" not in words:
        words = [*words, "--resume"]
    return f"ofa-hw {shlex.join(words)}"


def _end_quietly() -> NoReturn:
    # The reader of our output has gone (`ofa-hw ... | head`); without this, Python complains again while it shuts down.
    sys.stdout = None
    raise click.exceptions.Exit(1)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ofa-hw")
@click.option("-v", "--verbose", is_flag=True, help="Tell more about what is done, and where it failed.")
def main(verbose: bool) -> None:
    """Train one network, deploy a specialised one to every device.

    A supernet is trained once; every device gets its own network from it, chosen by latency that was measured on
    that device.

    \b
    Completion of commands and options in your shell (zsh: zsh_source, fish: fish_source):
      eval "$(_OFA_HW_COMPLETE=bash_source ofa-hw)"

    \b
    Example:
      ofa-hw demo
    """
    root = logging.getLogger()
    if not any(isinstance(handler, StderrHandler) for handler in root.handlers):
        root.addHandler(StderrHandler())
    logging.getLogger("ofa_hw").setLevel(logging.DEBUG if verbose else logging.INFO)
