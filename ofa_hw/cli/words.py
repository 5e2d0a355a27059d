"""A mistyped command or choice is answered by the nearest one that there is."""

from __future__ import annotations

from typing import Any

import click

from ofa_hw.errors import or_nearest


class Commands(click.Group):
    """A group that names the command which was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with, and the rest of them."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            ctx.fail(f"no command {name!r}{or_nearest(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


class OneOf(click.Choice[str]):
    """One of several words; of another it names the one that was probably meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return what is said of `value`."""
        return f"must be one of {', '.join(self.choices)}; came {value!r}{or_nearest(str(value), self.choices)}"
