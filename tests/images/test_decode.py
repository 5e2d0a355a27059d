"""Images come as a viewer shows them, whatever their form; what cannot be shown is refused in one line."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ofa_hw.errors import DataError
from ofa_hw.images import decode
from ofa_hw.images.decode import open_picture

SIZE = 32


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """Rows rise in red, columns in green."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.linspace(0, 250, height)[:, None], np.linspace(0, 250, width)
    return pixels


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def whole(content: bytes, in_channels: int = 3) -> np.ndarray:
    picture = open_picture(content, in_channels)
    return picture.cut((0, 0, picture.height, picture.width), SIZE).astype(int)


@pytest.fixture(params=[True, False], ids=["simplejpeg", "Pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        pytest.importorskip("simplejpeg", reason="simplejpeg is not installed: pip install 'ofa-hw[jpeg]'")
    monkeypatch.setattr(decode, "_has_simplejpeg", lambda: request.param)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.usefixtures("decoder")
def test_orientation_of_exif_is_followed(orientation: int, image_format: str) -> None:
    upright = Image.fromarray(gradient())
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera did that writes this orientation
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, image_format, exif=exif, **({"quality": 95} if image_format == "JPEG" else {}))
    picture = open_picture(content, 3)
    assert (picture.height, picture.width) == (48, 64)
    assert np.abs(whole(content) - whole(encoded(upright, "PNG"))).max() <= 12


@pytest.mark.usefixtures("decoder")
def test_cmyk_is_shown_in_colour() -> None:
    content = encoded(Image.fromarray(gradient()).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(whole(content) - whole(encoded(Image.fromarray(gradient()), "PNG"))).max() <= 24


@pytest.mark.parametrize("in_channels", [1, 3])
def test_upper_bits_of_16_are_shown(in_channels: int) -> None:
    deep = Image.fromarray((gradient()[..., 0].astype(np.uint16) << 8) + 77)
    for image_format in ("PNG", "TIFF"):
        shown = whole(encoded(deep, image_format), in_channels)
        assert np.array_equal(shown, whole(encoded(Image.fromarray(gradient()[..., 0]), "PNG"), in_channels))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.fromarray(gradient()).convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 32)[None].repeat(48, 0)))
    content = encoded(image.quantize(64) if mode == "P" else image.convert(mode), "PNG")
    shown = whole(content)
    assert shown[:, :, : SIZE // 2 - 1].min() >= 250
    assert shown[:, :, SIZE // 2 + 1 :].min() < 200


def test_grey_and_palette_are_shown_alike_in_colour() -> None:
    grey = Image.fromarray(gradient()[..., 0])
    shown = whole(encoded(grey, "PNG"))
    assert np.array_equal(shown[0], shown[2])
    assert np.abs(whole(encoded(grey.convert("P"), "GIF")) - shown).max() <= 6


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_first_picture_of_an_animation_is_taken(image_format: str) -> None:
    first, second = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    content = encoded(first, image_format, save_all=True, append_images=[second])
    assert np.abs(whole(content).mean((1, 2)) - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a whole image"),
        (b"\xff\xd8\xff\xe0 and no more", "is not a whole image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a whole image"),
        (encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "32-bit numbers"),
        (encoded(Image.fromarray(np.full((8, 8), 1 << 20, np.int32)), "TIFF"), "32-bit numbers"),
        (encoded(Image.fromarray(gradient()), "PNG")[:120], "is not a whole image"),
        (encoded(Image.fromarray(gradient()), "JPEG")[:700], "is not a whole image"),
    ],
)
def test_what_no_viewer_shows_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        whole(content)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("decoder")
def test_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 1000)
    for image_format in ("PNG", "JPEG"):
        with pytest.raises(DataError, match="at most 1,000 pixels; it has 64 x 48"):
            open_picture(encoded(Image.fromarray(gradient()), image_format), 3)


@pytest.mark.usefixtures("decoder")
def test_smaller_decoding_shows_the_same_part() -> None:
    pixels = gradient(640, 960)
    content = encoded(Image.fromarray(pixels), "JPEG", quality=95)
    for side in (40, 100, 300):
        cut = open_picture(content, 3).cut((200, 300, side, side), 20).astype(int)
        exact = open_picture(pixels.transpose(2, 0, 1), 3).cut((200, 300, side, side), 20)
        assert np.abs(cut - exact).max() <= 8


def test_centre_is_seven_eighths_of_the_shorter_side() -> None:
    picture = open_picture(np.zeros((3, 256, 320), np.uint8), 3)
    assert picture.centre == (16, 48, 224, 224)
