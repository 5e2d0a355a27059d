"""`ofa-hw space`."""

import json
import shlex

import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from ofa_hw.space import SearchSpace, get_space, list_spaces


def run(*words: str):
    return CliRunner().invoke(main, ["space", *words], prog_name="ofa-hw")


def test_list_names_every_space():
    output = run("list").output
    assert all(name in output for name in list_spaces())
    assert {row["name"] for row in json.loads(run("list", "--json").output)} == set(list_spaces())


@pytest.mark.parametrize("name", list_spaces())
def test_show_tells_what_every_space_holds(name):
    space = get_space(name)
    assert f"{space.num_archs:.1e}" in run("show", name).output
    told = json.loads(run("show", name, "--json").output)
    assert SearchSpace.from_dict(told["space"]) == space
    assert told["smallest"]["macs"] < told["largest"]["macs"]


def test_an_unknown_space_is_one_line_and_exit_code_1():
    result = run("show", "fashoin")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "fashion" in result.stderr


@pytest.mark.parametrize("size", [16, 20, 28, 32, 48, 64, 97, 128, 224, 512])
def test_a_new_space_is_commented_and_valid_at_every_size(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("new", "my photos.toml", "--classes", "5", "--size", str(size), "--channels", "1")
    assert result.exit_code == 0, result.output
    space = get_space("my photos.toml")
    assert (space.name, space.num_classes, space.in_channels) == ("my photos", 5, 1)
    assert space.resolutions[-1] == size
    assert space.num_archs > 1000
    assert (tmp_path / "my photos.toml").read_text().count("# ") > 10
    next_words = shlex.split(result.stderr.partition("next: ofa-hw ")[2])
    assert CliRunner().invoke(main, next_words).exit_code == 0


def test_a_new_space_replaces_no_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("my own words")
    result = run("new", str(path))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "not overwritten" in result.stderr
    assert path.read_text() == "my own words"
    assert "mine.toml" in run("new", str(tmp_path / "mine")).stderr
