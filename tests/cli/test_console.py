"""What a person sees."""

import json

import pytest

from ofa_hw.cli.console import plain_progress, print_facts, print_json, print_table, show_progress


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_table_is_whole_in_a_pipe_and_shows_brackets_as_they_are(capsys):
    print_table(("net", "latency, ms"), [("a" * 200, "0.51"), ("[bold]b", None)], title="[red]nets")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "[red]nets"
    assert any("a" * 200 in line for line in lines)
    assert any("[bold]b" in line and line.rstrip().endswith("–") for line in lines)


def test_columns_of_numbers_stand_to_the_right(capsys):
    print_table(("net", "ms"), [("a", "0.5"), ("b", "10.25")])
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip() and line.split()[0] in "ab"]
    assert len(rows[0]) == len(rows[1])


def test_an_empty_table_still_names_its_columns(capsys):
    print_table(("net", "ms"), [])
    assert capsys.readouterr().out.split()[:2] == ["net", "ms"]


def test_facts_stand_in_line(capsys):
    print_facts([("name", "fashion"), ("networks", 3), ("unit", None)], title="space")
    assert capsys.readouterr().out.splitlines() == ["space", "  name      fashion", "  networks  3", "  unit      –"]


def test_json_reads_back_and_refuses_what_is_not_a_number(capsys):
    print_json({"tau": 0.8})
    assert json.loads(capsys.readouterr().out) == {"tau": 0.8}
    with pytest.raises(ValueError, match="JSON"):
        print_json({"tau": float("nan")})


def test_plain_progress_tells_begin_interval_and_end_with_the_time_left():
    lines, clock = [], Clock()
    progress = plain_progress(lines.append, clock)
    for done in range(101):
        clock.now = float(done)
        progress("largest", done, 100)
    assert lines[0] == "largest: 0/100"
    assert lines[1] == "largest: 10/100, 0:10, 1:30 left"
    assert lines[-1] == "largest: 100/100, 1:40"
    assert len(lines) == 11


def test_plain_progress_of_resumed_work_counts_only_what_it_saw():
    lines, clock = [], Clock()
    progress = plain_progress(lines.append, clock)
    progress("width", 50, 100)
    clock.now = 25.0
    progress("width", 75, 100)
    assert lines == ["width: 50/100", "width: 75/100, 0:25, 0:25 left"]


def test_work_that_is_told_done_twice_writes_its_end_once():
    lines = []
    progress = plain_progress(lines.append, Clock())
    progress("sample", 3, 3)
    progress("sample", 3, 3)
    assert lines == ["sample: 3/3, 0:00"]


def test_progress_goes_to_stderr_alone(capsys):
    with show_progress() as progress:
        progress("profile", 1, 2)
        progress("profile", 2, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert "profile: 2/2" in told.err
