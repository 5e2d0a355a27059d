"""A plug-in that is broken is named, left out, and spoils nothing else."""

from __future__ import annotations

import importlib.metadata

import pytest
from click.testing import CliRunner

from ofa_hw import entry_points, get_space
from ofa_hw.cli.main import main
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import get_family, list_families, registry
from ofa_hw.plugins import DEVICES_GROUP, OBJECTIVES_GROUP, PROFILERS_GROUP, find_device, get_profiler
from ofa_hw.search.named import NamedObjectives

GROUPS = (PROFILERS_GROUP, DEVICES_GROUP, OBJECTIVES_GROUP, registry.GROUP)


class Toaster:
    """A profiler whose every answer is an accident."""

    def __init__(self, _):
        pass

    def check(self):
        raise ZeroDivisionError("crumbs")


LOADED = {
    "missing": ModuleNotFoundError("No module named 'gone'"),
    "odd": lambda *_: 1 / 0,
    "nothing": lambda *_: None,
}


@pytest.fixture(params=LOADED)
def broken(request, monkeypatch):
    """Bring a broken plug-in of every group, beside those that are there."""
    found = importlib.metadata.entry_points
    entries = [importlib.metadata.EntryPoint("broken", "gone:make", group) for group in GROUPS]

    def with_broken(*, group, name="broken"):
        its = [entry for entry in entries if entry.group == group and name == entry.name]
        return [*its, *(found(group=group) if name == "broken" else found(group=group, name=name))]

    def load(self):
        if self.value != "gone:make":
            return original(self)
        loaded = LOADED[request.param]
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    original = importlib.metadata.EntryPoint.load
    monkeypatch.setattr(importlib.metadata, "entry_points", with_broken)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", load)
    monkeypatch.setattr(entry_points, "_told", set())
    for cached in (registry._brought, registry.get_family):
        cached.cache_clear()
    yield request.param
    for cached in (registry._brought, registry.get_family):
        cached.cache_clear()


def test_the_others_are_there_and_one_line_names_it(broken, caplog):
    assert find_device("host").name == "host"
    assert "broken" not in list_families()
    for _ in range(2):
        assert "macs" in NamedObjectives.of(get_space("fashion"), None, {}).by_name
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(" is left out")[0] for line in told] == [
        f"the plug-in broken ({group})" for group in (DEVICES_GROUP, registry.GROUP, OBJECTIVES_GROUP)
    ]
    assert all("\n" not in line for line in told)


def test_who_asks_for_it_is_told_what_is_wrong(broken):
    with pytest.raises(InvalidInputError, match="broken"):
        get_family("broken")
    if broken != "nothing":
        with pytest.raises(InvalidInputError, match=r"the plug-in broken of gone:make .* is broken"):
            get_profiler("broken")


def test_a_device_whose_profiler_breaks_does_not_answer(monkeypatch, tmp_path):
    entry = importlib.metadata.EntryPoint("toaster", "toaster:make", PROFILERS_GROUP)
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda *, group, name="": [entry] if group == PROFILERS_GROUP else []
    )
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: Toaster)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ofa-hw.toml").write_text('[devices.kitchen]\nruntime = "toaster"\n')
    result = CliRunner().invoke(main, ["devices"])
    assert result.exit_code == 0, result.output
    assert "its profiler toaster is broken (ZeroDivisionError: crumbs)" in result.output
