"""Images from every source, and one clear line for each fault of a user's folder."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ofa_hw.errors import DataError
from ofa_hw.images import BUILTIN, ImageSet, builtin, decode, load_dataset
from ofa_hw.images.datasets import split_by_class
from ofa_hw.training import batches


def make_folder(root: Path, splits: dict[str, tuple[str, ...]], *, num: int = 8, mode: str = "RGB") -> Path:
    rng = np.random.default_rng(0)
    for split, classes in splits.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for index in range(num):
                pixels = rng.integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(root / split / name / f"{index}.png")
    return root


def write_idx(path: Path, array: np.ndarray, *, compressed: bool = False) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if compressed else content)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for prefix, num, compressed in (("train", 60, True), ("t10k", 20, False)):
        suffix = ".gz" if compressed else ""
        images, labels = rng.integers(0, 256, (num, 28, 28)), np.arange(num) % 4
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte{suffix}", images, compressed=compressed)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte{suffix}", labels, compressed=compressed)
    return tmp_path


def test_builtin_images_are_split_by_class() -> None:
    dataset = load_dataset(BUILTIN, in_channels=1, image_size=28)
    assert [len(part) for part in (dataset.train, dataset.val, dataset.test)] == [4200, 800, 1000]
    assert np.bincount(dataset.val.labels).tolist() == [80] * 10
    assert dataset.train.pixels.shape == (4200, 1, 28, 28)
    assert len(dataset.train.classes) == 10


def test_held_out_images_depend_on_the_seed_alone() -> None:
    one, again, other = (load_dataset(BUILTIN, in_channels=1, image_size=28, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.val.pixels, again.val.pixels)
    assert not np.array_equal(one.val.pixels, other.val.pixels)
    assert np.array_equal(one.test.pixels, other.test.pixels)


def test_split_keeps_every_image_once() -> None:
    labels = np.repeat(np.arange(3), 50)
    kept, held_out = split_by_class(labels, 0.2, seed=0)
    assert sorted([*kept, *held_out]) == list(range(150))
    assert np.bincount(labels[held_out]).tolist() == [10, 10, 10]


def test_channel_statistics_are_those_of_the_pixels() -> None:
    dataset = load_dataset(BUILTIN, in_channels=1, image_size=28)
    (mean,), (std,) = dataset.channel_statistics(1, 28)
    assert mean == pytest.approx(dataset.train.pixels.mean() / 255)
    assert std == pytest.approx(dataset.train.pixels.std() / 255, rel=1e-6)


def test_idx_files_are_read_plain_and_compressed(idx_folder: Path) -> None:
    dataset = load_dataset(idx_folder, in_channels=1, image_size=28)
    assert len(dataset.train) + len(dataset.val) == 60
    assert len(dataset.test) == 20
    assert dataset.train.classes == ("0", "1", "2", "3")
    assert dataset.test.pixels.flags.writeable  # torch warns of arrays that are not


def test_digits_are_not_clothes_whatever_their_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "old-fashioned-digits"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (100, 28, 28)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(100) % 10)
    assert load_dataset(folder, in_channels=1, image_size=28).train.classes == tuple("0123456789")


def test_fashion_mnist_is_known_by_its_images(tmp_path: Path) -> None:
    with np.load(Path(builtin.__file__).parents[1] / "data" / "fashion_mnist_5000_1000.npz") as arrays:
        images, labels = np.zeros((300, 28, 28), np.uint8), np.arange(300) % 10
        here = arrays["train_index"] < 300
        images[arrays["train_index"][here]] = arrays["x_train"][here]
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", labels)
    assert load_dataset(tmp_path, in_channels=1, image_size=28).train.classes[0] == "t-shirt"


def test_folder_by_class_is_scaled_and_cropped(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": ("cat", "dog"), "val": ("cat", "dog"), "test": ("dog",)})
    dataset = load_dataset(tmp_path, in_channels=3, image_size=16)
    assert dataset.train.pixels.shape == (16, 3, 16, 16)
    assert len(dataset.val) == 16
    assert dataset.test.labels.tolist() == [1] * 8
    assert dataset.train.classes == ("cat", "dog")


def test_missing_splits_are_held_out_of_train(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": ("cat", "dog")}, num=20, mode="L")
    dataset = load_dataset(tmp_path, in_channels=1, image_size=16)
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == 40
    assert len(dataset.test) == 6  # 16 % of each class, and the same of what is left
    assert len(dataset.val) == 6


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({}, "is missing or empty"),
        ({"val": ("cat",)}, "train must hold one folder"),
        ({"train": ("cat",), "val": ("cat", "emu")}, "has class 'emu'"),
    ],
)
def test_faulty_folder_is_named(tmp_path: Path, splits: dict[str, tuple[str, ...]], message: str) -> None:
    make_folder(tmp_path, splits)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, in_channels=3, image_size=16)


def picture_of(folder: Path, name: str, *, in_channels: int = 1, size: int = 4) -> np.ndarray:
    """What is read of the file `name`, of which the folder has eight copies in each of two classes."""
    for split in ("a", "b"):
        (folder / "train" / split).mkdir(parents=True, exist_ok=True)
        for index in range(8):
            copy = folder / "train" / split / f"{index}{Path(name).suffix}"
            copy.write_bytes((folder / name).read_bytes())
    return load_dataset(folder, in_channels=in_channels, image_size=size).train.pixels[0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.full((4, 4), 0x8000, np.uint16)
    if suffix == ".ppm":
        (tmp_path / "x.ppm").write_bytes(b"P5 4 4 65535 " + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / f"x{suffix}")
    assert (picture_of(tmp_path, f"x{suffix}") == 128).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_an_agreed_white_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.full((4, 4), 1, dtype)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"0\.tif is not a whole image .*save it with 8 or 16 bits"):
        picture_of(tmp_path, "x.tif")


@pytest.mark.parametrize("with_simplejpeg", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_read_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int, with_simplejpeg: bool
) -> None:
    monkeypatch.setattr(decode, "_has_simplejpeg", lambda: with_simplejpeg)
    if with_simplejpeg:
        pytest.importorskip("simplejpeg")
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:16, :16], pixels[:16, 16:] = 255, 128
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "x.jpg") as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened).resize((4, 4), Image.Resampling.BOX), int)
    differences = np.abs(picture_of(tmp_path, "x.jpg")[0].astype(int) - wanted)
    assert differences.max() < 60  # another filter, but no corner in place of another


def test_postscript_by_another_name_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(DataError, match="not a whole image"):
        picture_of(tmp_path, "x.png")


@pytest.mark.parametrize("source", ["photos", "cifar"])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, source: str) -> None:
    if source == "photos":
        make_folder(tmp_path, {"train": ("a", "b")})
        pipe = tmp_path / "train" / "a" / "9.png"
    else:
        (tmp_path / "train.bin").write_bytes(bytes(3074))
        pipe = tmp_path / "test.bin"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=rf"{pipe.name} .*file"):
        load_dataset(tmp_path, in_channels=3, image_size=8)


def test_a_class_of_damaged_images_alone_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"train": ("a", "b")})
    for path in (folder / "train" / "b").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"train/b holds no whole image"):
        load_dataset(folder, in_channels=3, image_size=8, max_bad_images=100)


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two classes or more; it has 1"):
        load_dataset(make_folder(tmp_path, {"train": ("a",)}), in_channels=3, image_size=8)


def test_a_class_whose_name_is_not_utf8_is_refused_in_a_line_that_can_be_printed(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": ("a", "b")})
    (tmp_path / "train" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(DataError, match="must have a name in UTF-8") as caught:
        load_dataset(tmp_path, in_channels=3, image_size=8)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte.gz", struct.pack(">HBB", 0, 8, 255), "255 dimensions"),
        ("train-labels-idx1-ubyte.gz", struct.pack(">HBB", 0, 8, 0), "0 dimensions"),
        ("train-images-idx3-ubyte.gz", struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "shape"),
        ("train-labels-idx1-ubyte.gz", struct.pack(">HBBI", 0, 8, 1, 60) + bytes([0, 200] * 30), "train has no 1"),
        ("t10k-images-idx3-ubyte", struct.pack(">HBB3I", 0, 8, 3, 20, 20, 20) + bytes(8000), "must be of one size"),
        ("t10k-labels-idx1-ubyte", b"", "must be a whole IDX file"),
    ],
)
def test_odd_idx_files_are_refused(idx_folder: Path, name: str, content: bytes, message: str) -> None:
    (idx_folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(DataError, match=message):
        load_dataset(idx_folder, in_channels=1, image_size=28)


def test_damaged_compression_is_told(idx_folder: Path) -> None:
    path = idx_folder / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[20:40] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be a whole IDX file"):
        load_dataset(idx_folder, in_channels=1, image_size=28)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load_dataset(tmp_path / "nowhere", in_channels=3, image_size=16)


def test_class_without_images_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": ("cat", "dog")})
    for path in (tmp_path / "train" / "dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="dog holds no image"):
        load_dataset(tmp_path, in_channels=3, image_size=16)


def test_truncated_image_is_named_or_left_out(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": ("cat", "dog"), "val": ("cat",), "test": ("cat",)})
    broken = tmp_path / "train" / "cat" / "3.png"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(DataError, match=r"cat/3\.png is not a whole image"):
        load_dataset(tmp_path, in_channels=3, image_size=16)
    assert len(load_dataset(tmp_path, in_channels=3, image_size=16, max_bad_images=1).train) == 15


@pytest.mark.parametrize("cut", [2, 100])
def test_cut_idx_file_is_named(idx_folder: Path, cut: int) -> None:
    path = idx_folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte must be a whole IDX file"):
        load_dataset(idx_folder, in_channels=1, image_size=28)


def test_idx_folder_without_labels_is_refused(idx_folder: Path) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="no IDX file of the test labels"):
        load_dataset(idx_folder, in_channels=1, image_size=28)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_either_decoder_reads_jpeg_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_channels: int) -> None:
    pytest.importorskip("simplejpeg", reason="simplejpeg is not installed: pip install 'ofa-hw[jpeg]'")
    gradient = np.linspace(0, 255, 200 * 160 * 3).reshape(160, 200, 3).astype(np.uint8)
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(np.roll(gradient, 40 * number, 1)).save(tmp_path / "train" / name / f"{number}.jpg")
    broken = tmp_path / "train" / "cat" / "7.jpg"
    broken.write_bytes(broken.read_bytes()[:900])
    read = []
    for has_simplejpeg in (True, False):
        monkeypatch.setattr(decode, "_has_simplejpeg", lambda has_it=has_simplejpeg: has_it)
        with pytest.raises(DataError, match=r"cat/7\.jpg is not a whole image"):
            load_dataset(tmp_path, in_channels=in_channels, image_size=16)
        read.append(load_dataset(tmp_path, in_channels=in_channels, image_size=16, max_bad_images=1).train)
    assert read[0].pixels.shape == read[1].pixels.shape
    assert np.abs(read[0].pixels.astype(int) - read[1].pixels).max() <= 4


def test_scaled_images_are_kept_while_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = ImageSet(
        pixels=rng.integers(0, 256, (30, 3, 20, 20), dtype=np.uint8), labels=np.arange(30) % 3, classes=("a", "b", "c")
    )
    kept, bounded = (batches.ImageBatches(images, mean=(0.5,) * 3, std=(0.2,) * 3) for _ in range(2))
    of_kept = {resolution: list(kept.all_at(resolution, 8)) for resolution in (8, 12, 16, 20)}
    monkeypatch.setattr(batches, "_MAX_KEPT_BYTES", 4 * 30 * 3 * (8 * 8 + 12 * 12))
    for _ in range(2):
        for resolution, parts in of_kept.items():
            assert all(map(torch.equal, parts, bounded.all_at(resolution, 8)))
    assert list(bounded._scaled) == [8, 12]
