"""Augmentation: within its bounds, and a function of its generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.errors import InvalidInputError
from ofa_hw.images import PHOTO_AUGMENTATIONS, Augmentation, Shift
from ofa_hw.images.augmentation import _OPERATIONS
from ofa_hw.images.decode import Picture, open_picture

RNG = np.random.default_rng


def noise(channels: int = 3, height: int = 60, width: int = 80) -> Picture:
    return open_picture(RNG(0).integers(0, 256, (channels, height, width), dtype=np.uint8), channels)


@given(height=st.integers(1, 4000), width=st.integers(1, 4000), seed=st.integers(0, 99))
def test_crop_lies_in_the_image(height: int, width: int, seed: int) -> None:
    top, left, down, across = Augmentation().box(height, width, RNG(seed))
    assert top >= 0 <= left
    assert 0 < down <= height - top
    assert 0 < across <= width - left


def test_crops_keep_scale_and_ratio() -> None:
    augmentation = Augmentation(scale=(0.2, 0.5), ratio=(0.5, 2.0))
    boxes = np.array([augmentation.box(1000, 1200, RNG(seed)) for seed in range(300)])
    parts, ratios = boxes[:, 2] * boxes[:, 3] / 1.2e6, boxes[:, 3] / boxes[:, 2]
    assert 0.199 < parts.min() < 0.22
    assert 0.48 < parts.max() < 0.501
    assert 0.49 < ratios.min() < 0.6
    assert 1.7 < ratios.max() < 2.01


@pytest.mark.parametrize("name", PHOTO_AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_is_a_function_of_its_generator(name: str, channels: int) -> None:
    augmentation, picture = PHOTO_AUGMENTATIONS[name], noise(channels)
    several = [augmentation.apply(picture, 24, RNG(seed)) for seed in (0, 0, *range(1, 9))]
    assert all(pixels.shape == (channels, 24, 24) and pixels.dtype == np.uint8 for pixels in several)
    assert np.array_equal(several[0], several[1])
    assert len({pixels.tobytes() for pixels in several}) == 9


@pytest.mark.parametrize("name", _OPERATIONS)
def test_operation_changes_the_image_and_keeps_its_form(name: str) -> None:
    from PIL import Image

    rows = np.linspace(20, 200, 40).astype(np.uint8)
    pixels = np.stack([np.add.outer(rows // 2, rows // 3), rows[None].repeat(40, 0), rows[:, None].repeat(40, 1)], 2)
    pixels[10:20, 10:20] //= 3  # an edge, for sharpness
    image = Image.fromarray(pixels)
    for sign in (1, -1):
        changed = _OPERATIONS[name](image, 0.9, sign)
        assert (changed.size, changed.mode) == (image.size, image.mode)
        assert np.array_equal(np.asarray(changed), pixels) == (name == "identity")


def test_erasing_covers_a_part_only() -> None:
    flat = open_picture(np.full((3, 40, 40), 7, np.uint8), 3)
    parts = [(Augmentation(erasing=1.0).apply(flat, 32, RNG(seed)) != 7).any(0).mean() for seed in range(50)]
    assert min(parts) > 0.01
    assert max(parts) < 0.36


def test_shift_moves_by_its_pixels_at_most() -> None:
    picture = noise(1, 20, 20)
    middle = picture.cut(picture.square, 20)
    for seed in range(20):
        shifted = Shift(max_shift=2, flip=False).apply(picture, 20, RNG(seed))
        assert any(
            np.array_equal(shifted[:, 2:-2, 2:-2], middle[:, 2 + y : 18 + y, 2 + x : 18 + x])
            for y in range(-2, 3)
            for x in range(-2, 3)
        )


@pytest.mark.parametrize(
    "changes", [{"scale": (0.0, 1.0)}, {"scale": (0.5, 0.2)}, {"ratio": (2.0, 1.0)}, {"policy": "all"}, {"erasing": 2}]
)
def test_value_outside_its_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(changes))} must be"):
        Augmentation(**changes)
