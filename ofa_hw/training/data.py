"""Images by class, from wherever the user keeps them, as one in-memory form: uint8 pixels and class indices."""

from __future__ import annotations

import dataclasses
import gzip
import math
import struct
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.training.cifar import is_cifar, read_cifar
from ofa_hw.training.folders import FolderReader, class_folders

Indices = npt.NDArray[np.int64]

_MAX_BYTES = 2**36
"""Of an IDX file: a greater one would not be a file of images that fit into memory."""
BUILTIN = "fashion-mnist-5000"
VALIDATION_FRACTION = 0.16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images of one size: `pixels` uint8 (n, channels, h, w), `labels` int64 (n,) into `classes`."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64]) -> ImageSet:
        """Return the images at `indices`, in that order."""
        return dataclasses.replace(self, pixels=self.pixels[indices], labels=self.labels[indices])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """The three splits: `train` is fitted, `val` judges subnets, `test` is for the last report alone."""

    train: ImageSet
    val: ImageSet
    test: ImageSet

    @property
    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The mean and standard deviation of each channel over the training pixels, on the scale 0 to 1."""
        pixels = self.train.pixels
        count = pixels.size / pixels.shape[1]
        sums = pixels.sum((0, 2, 3), dtype=np.float64)
        squares = np.array(
            [np.square(pixels[:, c], dtype=np.uint16).sum(dtype=np.float64) for c in range(pixels.shape[1])]
        )
        mean = sums / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def load_dataset(
    source: str | Path,
    *,
    in_channels: int,
    image_size: int,
    seed: int = 0,
    max_bad_images: int = 0,
    progress: ProgressCallback = no_progress,
) -> Dataset:
    """Return the images of `source`, each `in_channels` deep and at least stored at `image_size` pixels.

    `source` is `fashion-mnist-5000` (built in), a folder of MNIST-like IDX files (plain or .gz), a folder of CIFAR's
    binary or Python files, or a folder with `train/<class>/` and `val/` or `test/` of the same form. A split that is
    missing is held out of train: 16 % of each class, drawn by `seed`. Pictures of a folder are scaled and cropped to
    squares of `image_size`; damaged ones are left out, up to `max_bad_images`.

    Raises:
        DataError: naming the folder, class or file that cannot be used.
    """
    folder = Path(source)
    if str(source) == BUILTIN:
        dataset = _load_builtin(seed)
    elif not folder.is_dir():
        raise DataError(f"--data must be {BUILTIN} or an existing folder of images; {folder} is not a folder")
    elif any(_idx_path(folder, "train", "images")):
        dataset = _load_idx(folder, seed)
    elif is_cifar(folder):
        dataset = _load_cifar(folder, seed)
    else:
        dataset = _load_folder(
            folder,
            in_channels=in_channels,
            image_size=image_size,
            seed=seed,
            max_bad_images=max_bad_images,
            progress=progress,
        )
    if len(dataset.train.classes) < 2:
        raise DataError(f"{source} must have two classes or more; it has {len(dataset.train.classes)}")
    num_channels = dataset.train.pixels.shape[1]
    if num_channels != in_channels:
        size = max(dataset.train.pixels.shape[-1] // 4 * 4, 16)
        raise DataError(
            f"the space wants images of {in_channels} channels; those of {source} have {num_channels}; write one for "
            f"them: ofa-hw space new mine.toml --size {size} --channels {num_channels}"
        )
    return dataset


def split_by_class(labels: npt.NDArray[np.int64], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Return the indices kept and held out, rising: `fraction` of each class is held out, drawn by `seed`."""
    rng = np.random.default_rng([seed, 0x5917])
    held = []
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        held.append(rng.permutation(indices)[: round(len(indices) * fraction)])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def _load_builtin(seed: int) -> Dataset:
    arrays = _builtin_arrays()
    sets = [
        ImageSet(
            pixels=arrays[f"x_{split}"][:, None],
            labels=arrays[f"y_{split}"].astype(np.int64),
            classes=FASHION_CLASSES,
        )
        for split in ("train", "test")
    ]
    return _hold_out(sets[0], None, sets[1], seed)


def _builtin_arrays() -> dict[str, npt.NDArray[Any]]:
    file = resources.files("ofa_hw") / "data" / "fashion_mnist_5000_1000.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


def _is_fashion_mnist(images: npt.NDArray[np.uint8]) -> bool:
    """Return whether `images` (n, h, w) are Fashion-MNIST's: the built-in ones stand among them at their places."""
    known = _builtin_arrays()
    here = known["train_index"] < len(images)
    return bool(here.any()) and np.array_equal(images[known["train_index"][here]], known["x_train"][here])


FASHION_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)  # fmt: skip


def _hold_out(train: ImageSet, val: ImageSet | None, test: ImageSet | None, seed: int) -> Dataset:
    if test is None:
        kept, held_out = split_by_class(train.labels, VALIDATION_FRACTION, seed + 1)
        train, test = train.take(kept), train.take(held_out)
    if val is None:
        kept, held_out = split_by_class(train.labels, VALIDATION_FRACTION, seed)
        train, val = train.take(kept), train.take(held_out)
    for name, part in (("train", train), ("val", val), ("test", test)):
        if not len(part):
            raise DataError(
                f"the {name} split must hold at least one image; each class needs 7 or more to hold some out"
            )
    return Dataset(train=train, val=val, test=test)


# ------------------------------------------------------------------------------------------------- IDX files


def _idx_path(folder: Path, split: str, what: str) -> list[Path]:
    prefix = {"train": "train", "test": "t10k"}[split]
    dims = {"images": 3, "labels": 1}[what]
    return [
        path
        for separator in ("-", ".")
        for suffix in ("", ".gz")
        if (path := folder / f"{prefix}-{what}{separator}idx{dims}-ubyte{suffix}").is_file()
    ]


def _load_idx(folder: Path, seed: int) -> Dataset:
    sets: dict[str, ImageSet] = {}
    for split in ("train", "test"):
        arrays = {}
        for what in ("images", "labels"):
            found = _idx_path(folder, split, what)
            if not found:
                raise DataError(
                    f"{folder} has no IDX file of the {split} {what}; it must have all four of MNIST's names"
                )
            arrays[what] = _read_idx(found[0])
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{folder}: {split} must hold as many images as labels; came {images.shape} and {labels.shape}"
            )
        sets[split] = ImageSet(pixels=images[:, None], labels=labels, classes=())
    sizes = [part.pixels.shape[2:] for part in sets.values()]
    if sizes[0] != sizes[1]:
        raise DataError(f"{folder}: train and test must be of one size; came {sizes[0]} and {sizes[1]}")
    num_classes = int(sets["train"].labels.max()) + 1
    if int(sets["test"].labels.max()) >= num_classes:
        raise DataError(f"{folder}: test has class {sets['test'].labels.max()}, which train lacks")
    absent = np.setdiff1d(np.arange(num_classes), sets["train"].labels)
    if len(absent):
        raise DataError(
            f"{folder}: there must be images of each label from 0 to the greatest; train has no {absent[0]}"
        )
    classes = (
        FASHION_CLASSES
        if num_classes == 10 and _is_fashion_mnist(sets["train"].pixels[:, 0])
        else tuple(map(str, range(num_classes)))
    )
    train, test = (dataclasses.replace(part, classes=classes) for part in (sets["train"], sets["test"]))
    return _hold_out(train, None, test, seed)


def _read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file: a magic number with the number of dimensions, their sizes, then bytes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zero, kind, num_dims = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or num_dims not in (1, 3):
                raise ValueError(f"{num_dims} dimensions of type {kind}, where images have 3 and labels 1, of type 8")
            shape = struct.unpack(f">{num_dims}I", file.read(4 * num_dims))
            num_bytes = math.prod(shape)
            if not 0 < num_bytes <= _MAX_BYTES:
                raise ValueError(f"shape {shape}")
            # No more than it says, whatever a .gz would unpack to.
            content = file.read(num_bytes + 1)
        if len(content) != num_bytes:
            raise ValueError(f"{len(content)} bytes or more for shape {shape}")
    except (OSError, EOFError, MemoryError, struct.error, ValueError, zlib.error) as error:
        raise DataError(f"{path} must be a whole IDX file of unsigned bytes: {error}") from error
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def _load_cifar(folder: Path, seed: int) -> Dataset:
    *splits, classes = read_cifar(folder)
    train, test = (ImageSet(pixels=pixels, labels=labels, classes=classes) for pixels, labels in splits)
    return _hold_out(train, None, test, seed)


def _load_folder(
    folder: Path, *, in_channels: int, image_size: int, seed: int, max_bad_images: int, progress: ProgressCallback
) -> Dataset:
    train_classes = class_folders(folder / "train")
    classes = tuple(path.name for path in train_classes)
    reader = FolderReader(
        in_channels=in_channels, image_size=image_size, max_bad_images=max_bad_images, progress=progress
    )

    def read(folders: list[Path]) -> ImageSet:
        pixels, labels = reader.read(folders, classes)
        return ImageSet(pixels=pixels, labels=labels, classes=classes)

    train = read(train_classes)
    held: dict[str, ImageSet | None] = {"val": None, "test": None}
    for split in ("val", "test"):
        if (folder / split).is_dir():
            of_split = class_folders(folder / split)
            unknown = [path.name for path in of_split if path.name not in classes]
            if unknown:
                raise DataError(f"{folder / split} has class {unknown[0]!r}, which {folder / 'train'} lacks")
            held[split] = read(of_split)
    return _hold_out(train, held["val"], held["test"], seed)
