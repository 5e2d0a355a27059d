"""Photos of their own size: the same batches whatever reads them, decoded once for judging, in the given room."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ofa_hw.errors import DataError
from ofa_hw.files import sha256_of
from ofa_hw.images import PHOTO_AUGMENTATIONS, pixel_map
from ofa_hw.images.folders import scan_folder
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training import create_run, load_supernet, open_images, sample_run, train_run
from ofa_hw.training.batches import Draws
from ofa_hw.training.photos import DecodedBatches, PhotoBatches, Reading
from ofa_hw.training.schedule import Phase

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of JPEGs of several sizes, each of its colour."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        (root / "train" / name).mkdir(parents=True)
        for number in range(14):
            pixels = rng.integers(0, 120, (100 + 7 * number, 150 - 5 * number, 3), dtype=np.uint8)
            pixels[..., 2 - place] += 100
            Image.fromarray(pixels).save(root / "train" / name / f"{number:02d}.jpg", quality=85)
    return root


def photo_batches(photos: Path, tmp_path: Path, *, num_workers: int = 0, max_bad_images: int = 0) -> PhotoBatches:
    reading = Reading(in_channels=3, size=96, folder=tmp_path, num_workers=num_workers, max_bad_images=max_bad_images)
    source = scan_folder(photos / "train")
    return PhotoBatches(source, reading, PHOTO_AUGMENTATIONS["randaugment"], mean=(0.5,) * 3, std=(0.25,) * 3)


def draws(steps: range, part: slice = slice(None)) -> Draws:
    return Draws(steps=steps, batch_size=8, seed=(3, 1), size_at=lambda step: 32 + 8 * (step % 3), part=part)


def batches_of(images: PhotoBatches, wanted: Draws) -> Iterator[tuple[dict[int, torch.Tensor], torch.Tensor]]:
    rng = np.random.default_rng(0)
    with images.feed(wanted) as feed:
        for step in wanted.steps:
            yield feed.at(step, (24, wanted.size_at(step)), rng)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_batch_is_a_function_of_its_step_whatever_the_number_of_workers(
    photos: Path, tmp_path: Path, num_workers: int
) -> None:
    whole = list(batches_of(photo_batches(photos, tmp_path), draws(range(12))))
    resumed = list(batches_of(photo_batches(photos, tmp_path, num_workers=num_workers), draws(range(5, 12))))
    for (images, labels), (others, other_labels) in zip(whole[5:], resumed, strict=True):
        assert images.keys() == others.keys()
        assert all(torch.equal(images[size], others[size]) for size in images)
        assert torch.equal(labels, other_labels)
    assert not torch.equal(whole[0][0][24], whole[5][0][24])


def test_processes_see_their_parts_of_one_batch(photos: Path, tmp_path: Path) -> None:
    whole = list(batches_of(photo_batches(photos, tmp_path), draws(range(3))))
    halves = [
        list(batches_of(photo_batches(photos, tmp_path), draws(range(3), part))) for part in (slice(0, 4), slice(4, 8))
    ]
    for step, (images, labels) in enumerate(whole):
        parts = [half[step] for half in halves]
        assert torch.equal(torch.cat([part[0][24] for part in parts]), images[24])
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)


def test_damaged_photo_is_replaced_until_there_are_too_many(photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in CLASSES:
        (copy / "train" / name).mkdir(parents=True)
        for path in (photos / "train" / name).iterdir():
            os.link(path, copy / "train" / name / path.name)
    for name in CLASSES[:2]:
        (copy / "train" / name / "05.jpg").unlink()
        (copy / "train" / name / "05.jpg").write_bytes(b"no photo")
    several = [
        list(batches_of(photo_batches(copy, tmp_path, num_workers=num, max_bad_images=2), draws(range(12))))
        for num in (0, 2)
    ]
    for (images, labels), (others, other_labels) in zip(*several, strict=True):
        assert torch.equal(images[24], others[24])
        assert torch.equal(labels, other_labels)
    with pytest.raises(DataError, match=r"05\.jpg is not a whole image .*allow some by --max-bad-images"):
        list(batches_of(photo_batches(copy, tmp_path, num_workers=2, max_bad_images=1), draws(range(12))))


# --------------------------------------------------------------------------------------------------------- judging


def judged(photos: Path, tmp_path: Path, **changes: object) -> DecodedBatches:
    reading = Reading(in_channels=3, size=64, folder=tmp_path / "images")
    reading = dataclasses.replace(reading, **changes)
    return DecodedBatches(scan_folder(photos / "train"), "val", reading, mean=(0.5,) * 3, std=(0.25,) * 3)


def all_of(images: DecodedBatches, resolution: int = 48) -> torch.Tensor:
    return torch.cat(list(images.all_at(resolution, 5)))


def test_photos_are_decoded_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = judged(photos, tmp_path, num_workers=2)
    x_BCHW = all_of(first)
    assert x_BCHW.shape == (42, 3, 48, 48)
    monkeypatch.setattr(pixel_map, "_decode_into", lambda *_, **__: pytest.fail("they are decoded again"))
    again = judged(photos, tmp_path)
    assert torch.equal(all_of(again), x_BCHW)
    assert torch.equal(again.labels, first.labels)
    assert torch.equal(all_of(first.draw(9)), all_of(again.draw(9)))
    assert len(first.draw(9)) == 9


@pytest.mark.parametrize("kept_part", [0.0, 0.3])
def test_file_is_as_large_as_it_may_be_and_judging_the_same(photos: Path, tmp_path: Path, kept_part: float) -> None:
    whole, part = judged(photos, tmp_path / "a"), judged(photos, tmp_path / "b", kept_part=kept_part)
    assert torch.equal(all_of(whole), all_of(part))
    sizes = [(tmp_path / name / "images" / "val.pixels").stat().st_size for name in "ab"]
    assert sizes[0] > 42 * 3 * 64 * 64
    assert sizes[1] <= int(42 * kept_part) * 3 * 64 * 64 + 1000


def test_changed_photo_is_decoded_anew(photos: Path, tmp_path: Path) -> None:
    all_of(judged(photos, tmp_path))
    path = photos / "train" / "red" / "13.jpg"
    before, stat = path.read_bytes(), path.stat()
    try:
        path.write_bytes((photos / "train" / "blue" / "00.jpg").read_bytes())
        changed = all_of(judged(photos, tmp_path))
        assert torch.equal(changed[41], changed[0])
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_full_disk_is_told_and_loses_nothing(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_of(judged(photos, tmp_path))
    path = tmp_path / "images" / "val.pixels"
    before = sha256_of(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="1 MB of decoded images; a lower --cache-size keeps fewer"):
        all_of(judged(photos, tmp_path, size=80))
    assert sha256_of(path) == before
    assert [other.name for other in path.parent.iterdir()] == ["val.pixels"]


# ------------------------------------------------------------------------------------------------------- whole runs


def schedule(num_train_images: int) -> tuple[Phase, ...]:
    assert num_train_images > 20
    opened = {"num_kernel_sizes": 2, "num_depths": 2, "num_expand_ratios": 2, "num_subnets": 2, "num_spread": 1}
    return (
        Phase(name="largest", num_images=48, learning_rate=0.05),
        Phase(name="all", num_images=48, learning_rate=0.05, distill_weight=1.0, **opened),
    )


def make_run(photos: Path, path: Path, space: SearchSpace) -> RunFolder:
    space = dataclasses.replace(space, in_channels=3, resolutions=(48, 72))
    return create_run(path, space=space, data=str(photos), schedule=schedule, batch_size=8)


def test_killed_training_on_photos_ends_with_the_same_weights(
    photos: Path, tmp_path: Path, tiny_space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(photos, tmp_path / name, tiny_space) for name in ("whole", "killed")]
    train_run(runs[0], num_workers=0)
    appended = []

    def kill(*args: object) -> None:
        appended.append(args)
        if len(appended) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ofa_hw.training.trainer.write_checkpoint", _counted(kill))
        with pytest.raises(KeyboardInterrupt):
            train_run(runs[1], num_workers=2, checkpoint_seconds=0)
    train_run(runs[1], num_workers=1, resume=True)
    assert len(appended) == 4
    assert sha256_of(runs[0].supernet_path) == sha256_of(runs[1].supernet_path)


def _counted(kill: object) -> object:
    from ofa_hw.training.checkpoint import write_checkpoint

    def write(*args: object, **options: object) -> Path:
        path = write_checkpoint(*args, **options)
        kill(*args)
        return path

    return write


def test_run_on_photos_is_sampled_from_its_kept_images(photos: Path, tmp_path: Path, tiny_space: SearchSpace) -> None:
    run = make_run(photos, tmp_path / "run", tiny_space)
    train_run(run, num_workers=0)
    assert run.config["data"]["in_memory"] is False
    assert run.config["training"]["augmentation"]["scale"] == [0.08, 1.0]
    kept = {path.name: path.stat().st_mtime_ns for path in run.images_path.iterdir()}
    assert {"train.index", "val.pixels", "train-1000.pixels"} <= set(kept)
    samples = sample_run(run, 4)
    assert len(samples) == 4
    assert {path.name: path.stat().st_mtime_ns for path in run.images_path.glob("*.pixels")}.items() <= kept.items()
    test = open_images(run).test
    assert len(test) == 6
    assert load_supernet(run)(next(test.all_at(48, 6)), run.space.largest).shape == (6, 3)
