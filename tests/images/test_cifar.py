"""CIFAR in its published forms, and pickles that hold more than data."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ofa_hw.errors import DataError
from ofa_hw.images import load_dataset
from ofa_hw.images.plain_pickle import read_plain_pickle

CLASSES = [f"class-{index}" for index in range(10)]


def split(num: int, seed: int) -> tuple[np.ndarray, list[int]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (num, 3072), dtype=np.uint8)
    return pixels, [index % 10 for index in range(num)]


@pytest.fixture(params=["python", "binary"])
def cifar10(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, seed in [*((f"data_batch_{i}", i) for i in range(1, 6)), ("test_batch", 6)]:
        pixels, labels = split(40, seed)
        if request.param == "python":
            fields = {b"batch_label": name.encode(), b"labels": labels, b"data": pixels, b"filenames": [b"x.png"] * 40}
            (tmp_path / name).write_bytes(pickle.dumps(fields, protocol=2))
        else:
            records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
            (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    meta = {b"label_names": [name.encode() for name in CLASSES], b"num_vis": 3072}
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    (tmp_path / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return tmp_path


def test_either_form_is_read(cifar10: Path) -> None:
    dataset = load_dataset(cifar10, in_channels=3, image_size=32)
    assert len(dataset.train) + len(dataset.val) == 200
    pixels, labels = split(40, 6)
    assert np.array_equal(dataset.test.pixels, pixels.reshape(-1, 3, 32, 32))
    assert dataset.test.labels.tolist() == labels
    assert list(dataset.test.classes) == CLASSES


@pytest.mark.parametrize("is_binary", [True, False])
def test_cifar100_has_its_fine_classes(tmp_path: Path, is_binary: bool) -> None:
    names = [f"fine-{index}" for index in range(100)]
    for name, num in (("train", 700), ("test", 100)):
        pixels = np.random.default_rng(num).integers(0, 256, (num, 3072), dtype=np.uint8)
        fine = [index % 100 for index in range(num)]
        if is_binary:
            heads = np.array([[0, label] for label in fine], np.uint8)
            (tmp_path / f"{name}.bin").write_bytes(np.concatenate([heads, pixels], axis=1).tobytes())
        else:
            fields = {b"data": pixels, b"fine_labels": fine, b"coarse_labels": [0] * num}
            (tmp_path / name).write_bytes(pickle.dumps(fields, protocol=2))
    (tmp_path / "fine_label_names.txt").write_text("\n".join(names))
    meta = {b"fine_label_names": [name.encode() for name in names], b"coarse_label_names": []}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    dataset = load_dataset(tmp_path, in_channels=3, image_size=32)
    assert dataset.test.labels.tolist() == list(range(100))
    assert list(dataset.train.classes) == names


def test_colour_images_are_refused_by_a_grey_space(cifar10: Path) -> None:
    with pytest.raises(DataError, match=r"wants images of 1 channels; those of .* have 3"):
        load_dataset(cifar10, in_channels=1, image_size=32)


def test_damaged_file_is_named(cifar10: Path) -> None:
    path = next(path for path in sorted(cifar10.iterdir()) if path.name.startswith("data_batch_3"))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="data_batch_3"):
        load_dataset(cifar10, in_channels=3, image_size=32)
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_3.* is missing"):
        load_dataset(cifar10, in_channels=3, image_size=32)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_of_code_is_refused_before_it_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="system, which is no plain data"):
        read_plain_pickle(pickle.dumps({b"data": Evil()}, protocol=protocol))
    assert not Path("evil").exists()


@pytest.mark.parametrize("protocol", range(2, 5))
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4"])
def test_plain_data_comes_back(protocol: int, dtype: str) -> None:
    array = np.arange(12, dtype=dtype).reshape(3, 4)
    value = {"a": [1, 2.5, None, True, "text", b"bytes"], "b": (3, 70_000, -1), "array": array, "columns": array.T}
    back = read_plain_pickle(pickle.dumps(value, protocol=protocol))
    assert back["a"] == value["a"]
    assert back["b"] == value["b"]
    assert np.array_equal(back["array"].value, array)
    assert np.array_equal(back["columns"].value, array.T)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02}", b"\x80\x02]q\x00h\x05.", b"\x80\x02)R.", b"\x80\x02e.", b"no pickle"]
)
def test_damaged_pickle_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_plain_pickle(content)


def tuples_in_tuples(num: int) -> bytes:
    """A tuple of the one before, twice, and so on; the last is a key, whose hash would take 2**num steps."""
    return b"\x80\x02})q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(num)) + b"Ns."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tuples_in_tuples(60), "uses a tuple twice"),
        (b"\x80\x02})" + b"2\x86" * 60 + b"Ns.", "uses a tuple twice"),
        (b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.", "more than 1000 tuples"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "numbers a value"),
        (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7f\x85tR.", "damaged"),
        (b"\x80\x02cnumpy\ndtype\nU\x01O\x85R.", "an array of type object"),
        (b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n}b.", "damaged"),
        (b"\x80\x02c_codecs\nencode\nN}U\x01aNs\x86b.", "damaged"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "names builtins.eval, which is no plain data"),
        (b"\x80\x02cnumpy.core.multiarray\nfromfile\n.", "which is no plain data"),
    ],
)
def test_pickle_made_to_hang_or_crash_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_plain_pickle(content)


@pytest.mark.parametrize("cifar10", ["python"], indirect=True)
@pytest.mark.parametrize("field", [b"labels", b"data", b"label_names"])
def test_file_with_lists_within_lists_is_refused_in_one_line(cifar10: Path, field: bytes) -> None:
    nested: list[Any] = [1]
    for _ in range(60):
        nested = [nested, nested]
    path = cifar10 / ("batches.meta" if field == b"label_names" else "test_batch")
    fields = pickle.loads(path.read_bytes()) | {field: nested}
    path.write_bytes(pickle.dumps(fields, protocol=2))
    with pytest.raises(DataError, match=path.name):
        load_dataset(cifar10, in_channels=3, image_size=32)
