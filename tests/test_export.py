"""Exported files compute what torch computes, or are not written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ofa_hw.errors import InvalidInputError
from ofa_hw.export import ExportError, choose_format, describe, export_subnet, model_card
from ofa_hw.export import subnet as writing
from ofa_hw.formats.operations import Normalisation
from ofa_hw.formats.running import Runner, onnx_runner, tflite_runner
from ofa_hw.nn import build_subnet, recalibrate_batch_norm
from ofa_hw.space import ArchConfig, SearchSpace, get_space

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def arch() -> ArchConfig:
    return get_space("fashion").sample(1, np.random.default_rng(2))[0]


@pytest.fixture(scope="module")
def subnet(arch: ArchConfig) -> torch.nn.Sequential:
    torch.manual_seed(0)
    net = build_subnet(get_space("fashion"), arch)
    recalibrate_batch_norm(net, [torch.rand(16, 1, arch.resolution, arch.resolution)])
    return net


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "pt2"])
def test_every_format_equals_torch(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, format_name: str
) -> None:
    images = torch.rand(5, 1, arch.resolution, arch.resolution)
    path = tmp_path / f"net.{format_name}"
    check = export_subnet(subnet, get_space("fashion"), arch, path, format_name, images=images)
    assert check.max_logit_error < 1e-5
    assert check.top1_agreement == 1.0
    assert check.num_images == 5
    assert check.top1 is None
    assert path.stat().st_size == check.num_bytes


NORMALISATION = Normalisation(mean=(0.3,), std=(0.35,))


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "pt2"])
def test_a_file_of_pixels_normalises_them_itself(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, format_name: str
) -> None:
    pixels = torch.randint(0, 256, (3, 1, arch.resolution, arch.resolution), dtype=torch.uint8)
    path = tmp_path / "net"
    check = export_subnet(
        subnet, get_space("fashion"), arch, path, format_name, images=pixels, normalisation=NORMALISATION
    )
    assert check.max_logit_error < 1e-5
    with torch.no_grad():
        expected = subnet((pixels / 255 - 0.3) / 0.35).numpy()
    runner = {"tflite": tflite_runner, "onnx": onnx_runner}.get(format_name)
    if runner:
        found = np.concatenate([runner(path.read_bytes())(image[None]) for image in pixels.numpy()])
        assert np.abs(found - expected).max() < 1e-4 * expected.std()


@pytest.mark.parametrize("normalisation", [None, NORMALISATION], ids=["numbers", "pixels"])
def test_int8_is_near_torch_and_a_third_of_the_size(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, normalisation: Normalisation | None
) -> None:
    pixels = torch.randint(0, 256, (60, 1, arch.resolution, arch.resolution), dtype=torch.uint8)
    images = (pixels / 255 - 0.3) / 0.35
    check = export_subnet(
        subnet,
        get_space("fashion"),
        arch,
        tmp_path / "net.int8.tflite",
        "tflite-int8",
        images=pixels if normalisation else images,
        labels=subnet(images).argmax(1),
        calibration=images,
        normalisation=normalisation,
    )
    assert check.torch_top1 == 1.0
    assert check.top1 == check.top1_agreement > 0.9
    assert check.max_logit_error < 0.5
    float_check = export_subnet(subnet, get_space("fashion"), arch, tmp_path / "net.tflite")
    assert check.num_bytes < 0.45 * float_check.num_bytes


def test_int8_without_calibration_images_says_what_it_needs(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="calibration images"):
        export_subnet(subnet, get_space("fashion"), arch, tmp_path / "net.tflite", "tflite-int8")
    wrong = Normalisation(mean=(0.1, 0.2), std=(1.0, 1.0))
    with pytest.raises(InvalidInputError, match="for each of 1 channels"):
        export_subnet(subnet, get_space("fashion"), arch, tmp_path / "net.tflite", normalisation=wrong)
    assert list(tmp_path.iterdir()) == []


def test_int8_of_other_classes_is_not_written(subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path) -> None:
    far = torch.full((20, 1, arch.resolution, arch.resolution), 1e-4)
    images = 50 * torch.randn(40, 1, arch.resolution, arch.resolution, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ExportError, match="calibrate with more images"):
        export_subnet(
            subnet, get_space("fashion"), arch, tmp_path / "n.tflite", "tflite-int8", images=images, calibration=far
        )
    assert list(tmp_path.iterdir()) == []


def test_the_card_tells_accuracy_labels_and_input_and_holds_no_markup(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path
) -> None:
    images = torch.rand(5, 1, arch.resolution, arch.resolution)
    check = export_subnet(
        subnet, get_space("fashion"), arch, tmp_path / "n.tflite", images=images, labels=subnet(images).argmax(1)
    )
    metadata = describe(["<b>cat</b>", "dog|s"], [0.5], [0.25]) | {"provenance": json.dumps({"run": "<i>"})}
    check = dataclasses.replace(check, top1=1.0)
    card = model_card(check, get_space("fashion"), arch, metadata=metadata, takes_pixels=False)
    assert "100.0 % (95 % interval 56.6 to 100.0 %)" in card  # Wilson's, which has a width at 5 of 5 too
    assert f"(1, {arch.resolution}, {arch.resolution}, 1), float32" in card
    assert "&lt;b&gt;cat&lt;/b&gt;, 1 dog\\|s" in card
    assert "<b>" not in card
    assert "<i>" not in card


def test_labels_and_normalisation_travel_with_the_file(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path
) -> None:
    metadata = describe(["cat", "dog"], [0.5], [0.25])
    path = tmp_path / "net.tflite"
    export_subnet(subnet, get_space("fashion"), arch, path, metadata=metadata)
    content = path.read_bytes()
    assert json.dumps(["cat", "dog"]).encode() in content
    assert arch.to_json().encode() in content


def test_file_that_computes_something_else_is_not_written(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_writer(job: object) -> tuple[bytes, Runner]:
        return b"model", lambda x_BCHW: np.zeros((1, 10), np.float32)

    monkeypatch.setitem(writing.FORMATS, "tflite", dataclasses.replace(writing.FORMATS["tflite"], write=wrong_writer))
    with pytest.raises(ExportError, match="nothing was written"):
        export_subnet(subnet, get_space("fashion"), arch, tmp_path / "net.tflite")
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_lists_those_that_exist(subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path) -> None:
    space: SearchSpace = get_space("fashion")
    with pytest.raises(InvalidInputError, match="tflite, tflite-int8, onnx, pt2"):
        export_subnet(subnet, space, arch, tmp_path / "net.bin", "coreml")


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        (None, None, "tflite"),
        ("onnx", None, "onnx"),
        (None, "net.onnx", "onnx"),
        (None, "net.int8.tflite", "tflite-int8"),
        ("tflite-int8", "net.tflite", "tflite-int8"),
        ("pt2", "net.bin", "pt2"),
    ],
)
def test_the_format_is_that_of_the_suffix(name: str | None, file: str | None, expected: str) -> None:
    assert choose_format(name, Path(file) if file else None) == expected


@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        ("tflite", "net.onnx", "must be of the format of its suffix, onnx; came format tflite"),
        ("tflite", "net.int8.tflite", "of its suffix, tflite-int8"),
        (None, "net.bin", "must end in one of .tflite"),
        ("coreml", "net.tflite", "must be one of tflite"),
    ],
)
def test_a_suffix_of_another_format_is_refused_before_anything_is_written(
    name: str | None, file: str, told: str, tmp_path: Path
) -> None:
    space = get_space("fashion")
    with pytest.raises(InvalidInputError, match=told):
        export_subnet(torch.nn.Sequential(), space, space.smallest, tmp_path / file, name)
    assert not list(tmp_path.iterdir())
