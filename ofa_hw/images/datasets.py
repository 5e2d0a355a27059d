"""The three splits of a user's images, from wherever they are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DataError
from ofa_hw.images.builtin import BUILTIN, builtin_images
from ofa_hw.images.cifar import is_cifar, read_cifar
from ofa_hw.images.decode import open_picture
from ofa_hw.images.folders import scan_folder
from ofa_hw.images.idx import is_idx, read_idx
from ofa_hw.images.shards import expand_braces, is_pattern, scan_shards
from ofa_hw.images.source import ImageSet, ImageSource, Indices
from ofa_hw.progress import ProgressCallback, no_progress

VALIDATION_FRACTION = 0.16
SMALL_SIZE = 64
"""Up to this size photos are held as pixels while they are few, and shifted where larger ones are cut at random."""
MAX_HELD_BYTES = 1 << 26
_NUM_MEASURED = 1000
"""Photos from which the mean and the spread of channels are taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """The three splits: `train` is fitted, `val` judges subnets, `test` is for the last report alone."""

    train: ImageSource
    val: ImageSource
    test: ImageSource

    @property
    def in_memory(self) -> bool:
        """Whether the pixels of all images are held, at one size."""
        return isinstance(self.train, ImageSet)

    def channel_statistics(self, in_channels: int, image_size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and standard deviation of each channel over training pixels, on the scale 0 to 1.

        They are those of all images that are held, else of the middle of a thousand, at `image_size`.
        """
        pixels = self.train.pixels if isinstance(self.train, ImageSet) else _some(self.train, in_channels, image_size)
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
    in_memory: bool | None = None,
    index_folder: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> Dataset:
    """Return the images of `source`, which are to be seen at `image_size` pixels.

    `source` is `fashion-mnist-5000` (built in), a folder of MNIST-like IDX files (plain or .gz), a folder of CIFAR's
    binary or Python files, a folder with `train/<class>/` and `val/` or `test/` of the same form, or tar shards: a
    pattern such as `shard-{000000..000146}.tar`, or a folder with `train*.tar` and `val*.tar` or `test*.tar`. A split
    that is missing is held out of train: 16 % of each class, drawn by `seed`.

    Pictures of folders and shards stay where they are, and what was found of them is kept in `index_folder`. Where
    they are small and few, or `in_memory` says so, they are read at once as squares of `image_size`; damaged ones are
    then left out, up to `max_bad_images`.

    Raises:
        DataError: naming the folder, class or file that cannot be used.
    """
    splits = _splits(source, index_folder, progress)
    if not isinstance(splits.train, ImageSet):
        if in_memory is None:
            num_bytes = sum(len(part) for part in splits.parts) * in_channels * image_size**2
            in_memory = image_size <= SMALL_SIZE and num_bytes <= MAX_HELD_BYTES
        if in_memory:
            splits = _held(splits, in_channels, image_size, max_bad_images, progress)
    elif splits.train.pixels.shape[1] != in_channels:
        _, num_channels, height, _ = splits.train.pixels.shape
        raise DataError(
            f"the space wants images of {in_channels} channels; those of {source} have {num_channels}; write one for "
            f"them: ofa-hw space new mine.toml --size {max(height // 4 * 4, 16)} --channels {num_channels}"
        )
    if len(splits.train.classes) < 2:
        raise DataError(f"{source} must have two classes or more; it has {len(splits.train.classes)}")
    return _with_held_out(splits, seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Splits:
    """What the user keeps apart; `val` and `test` may be missing."""

    train: ImageSource
    val: ImageSource | None = None
    test: ImageSource | None = None

    @property
    def parts(self) -> list[ImageSource]:
        return [part for part in (self.train, self.val, self.test) if part is not None]


def _splits(source: str | Path, index_folder: Path | None, progress: ProgressCallback) -> _Splits:
    folder = Path(source)
    if str(source) == BUILTIN:
        train, test = builtin_images()
        return _Splits(train=train, test=test)
    if is_pattern(str(source)):
        return _shards({"train": [Path(name) for name in expand_braces(str(source))]}, index_folder, progress)
    if not folder.is_dir():
        raise DataError(
            f"--data must be {BUILTIN}, an existing folder of images or .tar shards; {folder} is not a folder"
        )
    if is_idx(folder):
        train, test = read_idx(folder)
        return _Splits(train=train, test=test)
    if is_cifar(folder):
        *read, classes = read_cifar(folder)
        train, test = (ImageSet(pixels=pixels, labels=labels, classes=classes) for pixels, labels in read)
        return _Splits(train=train, test=test)
    if any(folder.glob("train*.tar")):
        found = {split: sorted(folder.glob(f"{split}*.tar")) for split in ("train", "val", "test")}
        return _shards(found, index_folder, progress)
    return _folders(folder, index_folder, progress)


def _folders(folder: Path, index_folder: Path | None, progress: ProgressCallback) -> _Splits:
    def scan(split: str, classes: Sequence[str] | None) -> ImageSource:
        path = None if index_folder is None else index_folder / f"{split}.index"
        return scan_folder(folder / split, path, classes=classes, progress=progress)

    train = scan("train", None)
    val, test = (scan(split, train.classes) if (folder / split).is_dir() else None for split in ("val", "test"))
    return _Splits(train=train, val=val, test=test)


def _shards(shards: dict[str, list[Path]], index_folder: Path | None, progress: ProgressCallback) -> _Splits:
    def scan(split: str, classes: Sequence[str] | None) -> ImageSource:
        path = None if index_folder is None else index_folder / f"{split}.index"
        return scan_shards([shard.absolute() for shard in shards[split]], path, classes=classes, progress=progress)

    train = scan("train", None)
    val, test = (scan(split, train.classes) if shards.get(split) else None for split in ("val", "test"))
    return _Splits(train=train, val=val, test=test)


def split_by_class(labels: npt.NDArray[np.int64], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Return the indices kept and held out, rising: `fraction` of each class is held out, drawn by `seed`."""
    rng = np.random.default_rng([seed, 0x5917])
    held = []
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        held.append(rng.permutation(indices)[: round(len(indices) * fraction)])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def _with_held_out(splits: _Splits, seed: int) -> Dataset:
    train, val, test = splits.train, splits.val, splits.test
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


def _held(
    splits: _Splits, in_channels: int, image_size: int, max_bad_images: int, progress: ProgressCallback
) -> _Splits:
    """Return the images of `splits` as pixels in memory, without those that are damaged."""
    num_bad = 0

    def read(part: ImageSource) -> ImageSet:
        nonlocal num_bad
        pixels = np.empty((len(part), in_channels, image_size, image_size), np.uint8)
        good = np.ones(len(part), bool)
        for index in range(len(part)):
            try:
                picture = open_picture(part.read(index), in_channels)
                pixels[index] = picture.cut(picture.square, image_size)
            except (DataError, OSError) as error:
                num_bad += 1
                good[index] = False
                if num_bad > max_bad_images:
                    raise bad_image(part, index, error) from error
            if index % 64 == 63 or index + 1 == len(part):
                progress("reading the images", index + 1, len(part))
        lost = np.setdiff1d(part.labels, part.labels[good])
        if len(lost):
            index = int(np.argmax(part.labels == lost[0]))
            where = Path(part.name(index)).parent
            raise DataError(f"{where} holds no whole image; mend some, or remove the class")
        return ImageSet(pixels=pixels[good], labels=part.labels[good], classes=part.classes)

    val, test = (None if part is None else read(part) for part in (splits.val, splits.test))
    return _Splits(train=read(splits.train), val=val, test=test)


def bad_image(source: ImageSource, index: int, error: Exception | str) -> DataError:
    """Return what to say of an image that cannot be read, when there are more of them than may be."""
    what = f"is not a whole image ({error.strerror})" if isinstance(error, OSError) else str(error)
    return DataError(f"{source.name(index)} {what}; mend or remove it, or allow some by --max-bad-images")


def _some(source: ImageSource, in_channels: int, image_size: int) -> npt.NDArray[np.uint8]:
    """Return the middle of up to a thousand images of `source`, without damaged ones."""
    found = []
    for index in np.random.default_rng(0).permutation(len(source))[:_NUM_MEASURED].tolist():
        try:
            picture = open_picture(source.read(index), in_channels)
            found.append(picture.cut(picture.centre, image_size))
        except (DataError, OSError) as error:
            last = bad_image(source, index, error)
    if not found:
        raise last
    return np.stack(found)
