"""Files are whole or absent."""

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import (
    append_jsonl,
    own_prefix,
    parse_json,
    parse_toml,
    parse_yaml,
    read_json,
    read_jsonl,
    read_text,
    read_toml,
    sha256_of,
    sweep,
    write_atomically,
    write_json,
    write_jsonl,
    write_text,
)

texts = st.text(max_size=5)
whole_numbers = st.integers(-(2**63), 2**63 - 1)
rows = st.dictionaries(texts, whole_numbers | texts | st.booleans(), max_size=3)


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")

    def break_off(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, break_off)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["table.csv"]


def test_a_disk_that_is_full_at_sync_leaves_no_file(tmp_path, monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "report.html", "text")
    assert names_in(tmp_path) == []


def test_an_interrupted_write_leaves_no_file(tmp_path):
    def interrupt(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "weights", interrupt)
    assert names_in(tmp_path) == []


def test_json_with_a_value_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "figures.json", {"latency_ms": float("nan")})
    assert names_in(tmp_path) == []


@given(st.lists(rows, max_size=5))
def test_a_journal_reads_back_as_it_was_written(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("journal")
    for value in values:
        append_jsonl(folder / "appended.jsonl", value)
    write_jsonl(folder / "written.jsonl", values)
    assert read_jsonl(folder / "appended.jsonl") == values == read_jsonl(folder / "written.jsonl")


@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_a_journal_cut_at_any_byte_gives_its_whole_lines_and_goes_on(tmp_path_factory, values, data):
    path = tmp_path_factory.mktemp("journal") / "samples.jsonl"
    write_jsonl(path, values)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    kept = values[: content[:cut].count(b"\n")]
    assert read_jsonl(path) == kept
    append_jsonl(path, {"next": 1})
    assert read_jsonl(path) == [*kept, {"next": 1}]


def test_torn_line_does_not_spoil_the_next_append_and_a_reader_writes_nothing(tmp_path):
    path = tmp_path / "samples.jsonl"
    write_jsonl(path, [{"a": 1}])
    with open(path, "ab") as file:
        file.write(b'{"a": 2, "half')
    torn = path.read_bytes()
    assert read_jsonl(path) == [{"a": 1}]
    assert path.read_bytes() == torn
    append_jsonl(path, {"a": 3})
    assert read_jsonl(path) == [{"a": 1}, {"a": 3}]
    path.write_bytes(b'{"never')
    append_jsonl(path, {"a": 4})
    assert read_jsonl(path) == [{"a": 4}]


@pytest.mark.parametrize("line", ["{", "[1]", "3", ""])
def test_a_damaged_line_is_named_by_its_number(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
    with pytest.raises(RunError, match="line 2"):
        read_jsonl(path)


def test_sha256_matches_the_published_test_vector(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


DEEP = 10_000


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_json, "[" * DEEP, "nested at most"),
        (parse_json, "[" * 60 + "]" * 60, "nested at most"),
        (parse_toml, "a = " + "[" * DEEP, "nested at most"),
        (parse_toml, "a = " + "{b=" * DEEP, "nested at most"),
        (parse_toml, "a." * DEEP + "b = 1", "nested at most"),
        (parse_yaml, "[" * DEEP, "nested at most"),
        (parse_yaml, "- " * DEEP, "nested at most"),
        (parse_yaml, "a: 2026-13-45", "month must be in 1..12"),
        (parse_yaml, "a: &x [1]\nb: *x", "aliases"),
        (parse_json, "NaN", "numbers must be finite"),
        (parse_json, "-1e999", "numbers must be finite"),
        (parse_toml, "a = nan", "numbers must be finite"),
        (parse_yaml, ".inf", "numbers must be finite"),
        (parse_json, "9" * 30, "64 bits"),
        (parse_json, "9" * 5000, "must be JSON"),
        (parse_json, r'"\ud800"', "surrogates not allowed"),
        (parse_json, "", "must be JSON"),
        (parse_toml, "a", "must be TOML"),
        (parse_yaml, "? [", "must be YAML"),
    ],
)
def test_text_that_no_file_of_ours_holds_is_refused_in_one_line(parse, text, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        parse(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xff")
    for read in (read_text, read_json, read_toml):
        with pytest.raises(InvalidInputError, match="a: must be text in UTF-8"):
            read(path)
    path.write_text("[")
    for read in (read_json, read_toml):
        with pytest.raises(InvalidInputError, match=r"a: must be (JSON|TOML)"):
            read(path)
    path.write_text('{"loss": NaN}\n')
    with pytest.raises(RunError, match="a, line 1: must be JSON: numbers must be finite"):
        read_jsonl(path)


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    program = "import os, sys; from ofa_hw.files import own_prefix; print(own_prefix(), flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        prefix = child.stdout.readline().strip()
        (tmp_path / f".front.csv.{prefix}abc").write_text("half")
        (tmp_path / f"{prefix}abc").mkdir()
        (tmp_path / f"{prefix}abc" / "model").write_text("")
        others = [".front.csv.abc", "ofa-hw-notes", f".x.ofa-hw-00000000-{child.pid}-a", f".x.{own_prefix()}a"]
        for name in others:
            (tmp_path / name).write_text("")
        sweep(tmp_path)
        assert len(names_in(tmp_path)) == 6
        child.kill()
    write_text(tmp_path / "front.csv", "whole")
    assert names_in(tmp_path) == sorted([*others, "front.csv"])
