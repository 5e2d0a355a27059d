"""Files are whole or absent."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl, sha256_of, write_atomically, write_json, write_jsonl, write_text

rows = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=3)


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
