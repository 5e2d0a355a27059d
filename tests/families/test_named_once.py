"""A family's name stands in its own file alone: space files, tests and docs apart, nothing else asks for it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ofa_hw.families import list_families

ROOT = Path(__file__).parents[2]
FAMILIES = ROOT / "ofa_hw" / "families"
ROOMS = ("ofa_hw", "profilers", "benchmarks", "examples")
NAMES = list_families()


@functools.cache
def literals_of(path: Path) -> tuple[tuple[int, str], ...]:
    """Return the string literals of a file that are not split by an f-string, each with its line."""
    nodes = ast.walk(ast.parse(path.read_text(), filename=str(path)))
    return tuple(
        (node.lineno, node.value) for node in nodes if isinstance(node, ast.Constant) and type(node.value) is str
    )


def files_with(name: str, paths: Iterator[Path]) -> list[str]:
    """Return file:line of each literal that is `name`."""
    return [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(paths)
        for line, literal in literals_of(path)
        if literal == name
    ]


@pytest.mark.parametrize("name", NAMES)
def test_family_is_named_in_no_other_room(name: str) -> None:
    paths = (path for room in ROOMS for path in (ROOT / room).rglob("*.py") if FAMILIES not in path.parents)
    found = files_with(name, (path for path in paths if "tests" not in path.relative_to(ROOT).parts))
    assert not found, f"{name!r} stands in {', '.join(found)}; ask the family instead"


def test_the_names_of_families_stand_in_files_of_their_own() -> None:
    named = [
        (node.value.value, path.name)
        for path in sorted(FAMILIES.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if [target.id for target in node.targets if isinstance(target, ast.Name)] == ["name"]
    ]
    assert sorted(named) == sorted((name, f"{name}.py") for name in NAMES)


def test_the_search_finds_a_literal(tmp_path: Path) -> None:
    """The law is not kept because nothing is looked at."""
    path = tmp_path / "code.py"
    path.write_text('"""Of mbconv."""\nif kind == "mbconv":\n    told = f"{kind}-mbconv"\n')
    assert [line for line, literal in literals_of(path) if literal == "mbconv"] == [2]
    assert sum(1 for room in ROOMS for _ in (ROOT / room).rglob("*.py")) > 100
