"""`ofa-hw space`."""

import json

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
