"""The run folder."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ofa_hw.cli.options import note_command
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import append_jsonl
from ofa_hw.run import RunFolder, find_space
from ofa_hw.space import get_space, list_spaces


@pytest.mark.parametrize("name", list_spaces())
def test_a_run_reads_back_the_space_that_it_was_made_with(tmp_path, name):
    space = dataclasses.replace(get_space(name), num_classes=7)
    run = RunFolder.create(tmp_path / "run", {"space": space.to_dict(), "training": {"seed": 3}})
    assert RunFolder.open(run.path).space == space
    assert run.config["training"] == {"seed": 3}


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    RunFolder.create(tmp_path, {"space": get_space("fashion").to_dict()})
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(tmp_path, {})


def test_a_run_that_is_removed_while_it_is_worked_on_is_not_rebuilt(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"space": get_space("fashion").to_dict()})

    def work():
        with run.locked():
            shutil.rmtree(run.path)
            append_jsonl(run.samples_path, {})

    with pytest.raises(RunError, match="run was removed while it was worked on"):
        work()
    with pytest.raises(RunError, match="was removed while it was worked on"):
        note_command(run.path)


def test_the_last_run_that_was_made_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for age, name in ((3, "b"), (1, "c"), (2, "a")):
        run = RunFolder.create(tmp_path / "runs" / name, {})
        os.utime(run.config_path, (1e9 - age, 1e9 - age))
    assert RunFolder.open().path.name == "c"


def test_without_a_run_the_message_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="ofa-hw demo"):
        RunFolder.open()
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("text", ["[space", "", '[space]\nname = "x"\n', "space = 3\n"])
def test_a_damaged_config_is_told_with_its_name(tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(RunError, match=r"config\.toml"):
        _ = RunFolder.open(tmp_path).space


def test_what_a_command_needs_is_asked_for_by_the_command_that_makes_it(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(RunError, match=r"pareto\.csv is missing; make it with `ofa-hw search"):
        run.require(run.front_path, "ofa-hw search")
    assert run.require(run.config_path, "ofa-hw train") == run.config_path


def test_a_space_is_found_by_name_and_by_run(tmp_path):
    named = get_space("fashion")
    of_run = dataclasses.replace(named, num_classes=3)
    RunFolder.create(tmp_path / "mine", {"space": of_run.to_dict()})
    assert find_space("fashion") == named
    assert find_space(str(tmp_path / "mine")) == of_run
    with pytest.raises(InvalidInputError, match="no space 'nothing'"):
        find_space("nothing")


def test_run_that_another_process_works_on_is_refused_with_its_id_and_free_after_its_kill(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    script = (
        "from ofa_hw.run import RunFolder\n"
        f"with RunFolder.open({str(run.path)!r}).locked():\n"
        "    print(1, flush=True)\n"
        "    input()"
    )
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": root},
    ) as holder:
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(RunError, match=f"process {holder.pid} does"), run.locked():
            pass
        holder.kill()
        holder.wait()
        with run.locked():
            assert (run.path / ".lock").read_text() == str(os.getpid())
