"""A folder by class: scanned once, taken from its index after, one line for each fault."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from ofa_hw.errors import DataError
from ofa_hw.images import folders
from ofa_hw.images.folders import scan_folder

NAMES = ("1.jpg", "2.png", "ä é.JPEG", "notes.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for file in NAMES:
            (tmp_path / "train" / name / file).write_bytes(f"{name} {file}".encode())
    settle(tmp_path / "train")
    return tmp_path / "train"


def settle(folder: Path) -> None:
    """Let the folders have last changed a minute ago."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)


def test_images_are_read_by_index(folder: Path) -> None:
    source = scan_folder(folder)
    assert source.classes == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [source.read(index).decode() for index in range(6)] == [
        f"{name} {file}" for name in ("cat", "dog") for file in sorted(NAMES[:3])
    ]
    assert source.name(4) == str(folder / "dog" / "2.png")
    assert source.take(np.array([5, 1])).labels.tolist() == [1, 0]


def test_index_is_taken_until_a_folder_changes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "train.index"
    scanned = scan_folder(folder, index)
    scans = []
    scan = folders._scan
    monkeypatch.setattr(folders, "_scan", lambda *args: (scans.append(args), scan(*args))[1])
    again = scan_folder(folder, index)
    assert not scans
    assert [again.name(i) for i in range(6)] == [scanned.name(i) for i in range(6)]
    assert isinstance(again._names, np.memmap)
    (folder / "dog" / "3.png").write_bytes(b"new")
    assert len(scan_folder(folder, index)) == 7
    assert len(scans) == 1
    assert len(scan_folder(folder, index)) == 7
    assert len(scans) == 2  # a folder that has just changed may change again without its time telling


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, None])
def test_damaged_index_is_made_anew(folder: Path, tmp_path: Path, damage: bytes | None) -> None:
    index = tmp_path / "train.index"
    scan_folder(folder, index)
    index.write_bytes(index.read_bytes()[:-9] if damage is None else damage)
    assert len(scan_folder(folder, index)) == 6


def test_labels_are_those_of_train(folder: Path) -> None:
    shutil.rmtree(folder / "cat")
    source = scan_folder(folder, classes=("ant", "cat", "dog"))
    assert source.classes == ("ant", "cat", "dog")
    assert source.labels.tolist() == [2, 2, 2]


def test_class_that_train_lacks_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"has class 'dog', which .*train lacks"):
        scan_folder(folder, classes=("ant", "cat"))


def test_classes_that_differ_by_case_alone_are_named(folder: Path) -> None:
    (folder / "Cat").mkdir()
    with pytest.raises(DataError, match="two classes of one name; it has 'Cat' and 'cat': rename one"):
        scan_folder(folder)


def test_changed_photo_changes_the_fingerprint(folder: Path) -> None:
    source = scan_folder(folder)
    before = source.fingerprint()
    assert scan_folder(folder).fingerprint() == before
    (folder / "cat" / "1.jpg").write_bytes(b"another one")
    assert source.fingerprint() != before
