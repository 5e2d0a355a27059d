"""The spaces that ship with ofa-hw, and a user's own by the path of a TOML file."""

from __future__ import annotations

import tomllib
from importlib import resources

from ofa_hw.errors import InvalidInputError, or_nearest
from ofa_hw.space.search_space import SearchSpace


def list_spaces() -> tuple[str, ...]:
    """Return the names of the spaces that ship with ofa-hw."""
    folder = resources.files("ofa_hw") / "spaces"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def get_space(name: str) -> SearchSpace:
    """Return the space of this name, or the space that the TOML file at this path describes.

    Raises:
        InvalidInputError: no such name and no such file; the message lists the names.
    """
    if name in list_spaces():
        text = (resources.files("ofa_hw") / "spaces" / f"{name}.toml").read_text()
        return SearchSpace.from_dict(tomllib.loads(text))
    if name.endswith(".toml"):
        return SearchSpace.from_toml(name)
    raise InvalidInputError(
        f"no space {name!r}; there are {', '.join(list_spaces())}, or give the path of a .toml file"
        + or_nearest(name, list_spaces())
    )
