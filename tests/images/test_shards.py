"""Tar shards as WebDataset writes them, and one line for each of their faults."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ofa_hw.errors import DataError
from ofa_hw.images import load_dataset, shards
from ofa_hw.images.shards import expand_braces, scan_shards


def jpeg(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), value, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def write_shard(path: Path, samples: list[tuple[str, str | None]], *, tar_format: int = tarfile.PAX_FORMAT) -> Path:
    """Write a shard of (key, class) samples; None: without its .cls."""
    with tarfile.open(path, "w", format=tar_format) as tar:
        for number, (key, word) in enumerate(samples):
            members = [("jpg", jpeg(10 * number)), ("json", b"{}")]
            for suffix, content in members + ([("cls", word.encode())] if word is not None else []):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def numbered(num: int, first: int = 0) -> list[tuple[str, str | None]]:
    return [(f"{'d' * 120}/{first + index:06d}", str(index % 3)) for index in range(num)]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write_shard(tmp_path / f"shard-{number:03d}.tar", numbered(21)) for number in range(2)]


@pytest.mark.parametrize(
    ("pattern", "first", "last", "num"),
    [
        ("shard-{000000..000146}.tar", "shard-000000.tar", "shard-000146.tar", 147),
        ("{train,val}-{8..10}.tar", "train-8.tar", "val-10.tar", 6),
        ("plain.tar", "plain.tar", "plain.tar", 1),
    ],
)
def test_braces_stand_for_names(pattern: str, first: str, last: str, num: int) -> None:
    names = expand_braces(pattern)
    assert (names[0], names[-1], len(names)) == (first, last, num)


@pytest.mark.parametrize("pattern", ["{0..99999999}.tar", "{0..9999}{0..9999}.tar"])
def test_braces_are_bounded(pattern: str) -> None:
    with pytest.raises(DataError, match="at most 1,000,000 shards"):
        expand_braces(pattern)


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_images_are_read_by_index(tmp_path: Path, tar_format: int) -> None:
    path = write_shard(tmp_path / "a.tar", numbered(6), tar_format=tar_format)
    source = scan_shards([path])
    assert [source.read(index) for index in range(6)] == [jpeg(10 * index) for index in range(6)]
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert source.classes == ("0", "1", "2")


def test_index_is_taken_until_a_shard_changes(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "train.index"
    before = scan_shards(paths, index)
    monkeypatch.setattr(shards, "_samples", lambda _: pytest.fail("the shards are read again"))
    again = scan_shards(paths, index)
    assert again.labels.tolist() == before.labels.tolist()
    assert again.read(40) == before.read(40)
    monkeypatch.undo()
    write_shard(paths[1], numbered(30))
    assert len(scan_shards(paths, index)) == 51


def test_names_of_classes_stand_beside_the_shards(paths: list[Path]) -> None:
    (paths[0].parent / "classes.txt").write_text("ant\nbee\ncat\n")
    assert scan_shards(paths).classes == ("ant", "bee", "cat")
    (paths[0].parent / "classes.json").write_text(json.dumps(["emu", "fox", "gnu"]))
    assert scan_shards(paths).classes == ("emu", "fox", "gnu")


def test_pattern_is_a_data_set_with_splits_held_out(paths: list[Path]) -> None:
    pattern = str(paths[0].parent / "shard-{000..001}.tar")
    dataset = load_dataset(pattern, in_channels=3, image_size=96)
    assert not dataset.in_memory
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == 42
    small = load_dataset(pattern, in_channels=3, image_size=16)
    assert small.in_memory
    assert np.array_equal(small.val.labels, dataset.val.labels)


def test_folder_of_shards_has_its_own_splits(tmp_path: Path) -> None:
    words = ["cat", "ant", "bee"]
    for split, kept in (("train", words), ("val", words[:2])):
        write_shard(tmp_path / f"{split}-0.tar", [(f"{index:03d}", word) for index, word in enumerate(kept * 9)])
    dataset = load_dataset(tmp_path, in_channels=3, image_size=96)
    assert dataset.val.classes == ("ant", "bee", "cat")
    assert sorted(set(dataset.val.labels.tolist())) == [0, 2]
    assert len(dataset.val) == 18


def test_cut_shard_is_named(paths: list[Path]) -> None:
    content = paths[1].read_bytes()
    with tarfile.open(paths[1]) as tar:
        members = tar.getmembers()
    last = members[-1]
    end = last.offset_data + 512
    for cut in (0, 100, members[3].offset, members[4].offset + 200, members[6].offset_data + 50, last.offset, end):
        paths[1].write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"shard-001\.tar must be a whole, uncompressed tar file") as caught:
            scan_shards(paths)
        assert "\n" not in str(caught.value)


def test_damaged_head_in_the_midst_is_named(paths: list[Path]) -> None:
    content = bytearray(paths[1].read_bytes())
    with tarfile.open(paths[1]) as tar:
        begin = tar.getmembers()[5].offset
    content[begin : begin + 300] = b"x" * 300
    paths[1].write_bytes(content)
    with pytest.raises(DataError, match="damaged at byte"):
        scan_shards(paths)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([("a", "cat")], r"shard-000\.tar has numbers such as 0, .*other\.tar names such as 'cat'"),
        ([("a", None)], r"other\.tar must have a \.cls beside each image; a has none"),
        ([("a", " ")], r"a\.cls must hold the number or the name of a class"),
        ([("a", "5")], "class '3' of the train shards has no image"),
        ([("a", "1"), ("a", "1")], "one image of a key"),
        ([], "holds no image"),
    ],
)
def test_faulty_shard_is_named(paths: list[Path], samples: list[tuple[str, str | None]], message: str) -> None:
    other = write_shard(paths[0].parent / "other.tar", samples)
    with pytest.raises(DataError, match=message):
        scan_shards([*paths, other])


def test_classes_of_shards_are_those_that_are_named(paths: list[Path]) -> None:
    (paths[0].parent / "classes.txt").write_text("ant\nbee\n")
    with pytest.raises(DataError, match=r"shard-000\.tar has class 2; .* names 2 classes"):
        scan_shards(paths)
    (paths[0].parent / "classes.txt").write_text("ant\nAnt\nbee\n")
    with pytest.raises(DataError, match="two classes of one name"):
        scan_shards(paths)


def test_val_shards_with_a_class_that_train_lacks_are_named(paths: list[Path]) -> None:
    other = write_shard(paths[0].parent / "val.tar", [("a", "4")])
    with pytest.raises(DataError, match=r"val\.tar and its like have class '4', which the train shards lack"):
        scan_shards([other], classes=("0", "1", "2"))


def test_missing_shard_is_named(paths: list[Path]) -> None:
    with pytest.raises(DataError, match=r"shard-009\.tar must be a tar file; it is missing"):
        scan_shards([*paths, paths[0].parent / "shard-009.tar"])
