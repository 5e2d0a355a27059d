"""Images are classified as the networks of a run are judged."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ofa_hw.classify import Classifier
from ofa_hw.cli.main import main
from ofa_hw.deploy import export_chosen
from ofa_hw.errors import DataError, InvalidInputError
from ofa_hw.export import describe, export_subnet
from ofa_hw.formats.exported import open_exported
from ofa_hw.formats.running import onnx_runner, tflite_runner
from ofa_hw.nn import build_subnet, recalibrate_batch_norm
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training import load_dataset
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.runs import open_images
from tests.test_docs import ROOT
from tests.training.tiny import make_space

pytest.importorskip("ai_edge_litert")
OLD = ROOT / "tests" / "data" / "old" / "f11f99c"


def softmax_of(logits):
    return torch.from_numpy(np.asarray(logits)).double().softmax(-1).numpy()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of grey images of 28 pixels, the first four test images of which lie beside it as files."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD / "runs" / "tiny", tmp_path / "runs" / "tiny", copy_function=shutil.copyfile)
    run = RunFolder(tmp_path / "runs" / "tiny")
    for index, pixels in enumerate(open_images(run).test.images.pixels[:4]):
        Image.fromarray(pixels[0]).save(tmp_path / f"{index}.png")
    return run


@pytest.mark.parametrize("name", ["3d9a19a4f0ca.tflite", "e6c0e19bdd6a.int8.tflite", "e6c0e19bdd6a.onnx"])
def test_a_file_says_of_an_image_what_it_says_of_it_at_evaluation(name, run, tmp_path):
    path = run.exported_path / name
    classifier = Classifier.open(path)
    runner = (onnx_runner if path.suffix == ".onnx" else tflite_runner)(path.read_bytes())
    test = next(open_images(run).test.all_at(classifier.file.resolution, 4)).contiguous().numpy()
    for index in range(4):
        expected = softmax_of(runner(test[index : index + 1])[0])
        found = classifier.classify(tmp_path / f"{index}.png", top=10)
        assert [share for _, share in found.classes] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
        assert found.classes[0][0] == classifier.file.labels[expected.argmax()]
        assert found.ms > 0


def test_a_file_of_pixels_sees_the_same_image(run, tmp_path):
    classifier = Classifier.open(run.exported_path / "pixels.tflite")
    assert classifier.file.takes_pixels
    size = classifier.file.resolution
    images = open_images(run).test
    x_BCHW = next(images.all_at(size, 4)).numpy()
    pixels = (255 * (x_BCHW * images.std[0] + images.mean[0])).round().clip(0, 255).astype(np.uint8)
    expected = softmax_of(tflite_runner(classifier.file.path.read_bytes())(np.ascontiguousarray(pixels[:1]))[0])
    assert classifier.classify(tmp_path / "0.png").classes[0][1] == pytest.approx(expected.max(), abs=1e-6)


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_photos_are_cropped_scaled_and_normalised_as_those_of_a_folder(format_name, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("cat", "dog", "emu"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for index, size in enumerate([(40, 23, 3), (17, 31, 3)]):
                photo = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
                photo.save(folder / f"{index}.{('png', 'jpg')[index]}")
    space = dataclasses.replace(make_space(), in_channels=3)
    dataset = load_dataset(tmp_path / "data", in_channels=3, image_size=12)
    mean, std = dataset.channel_statistics(3, 12)
    test = ImageBatches(dataset.test, mean=mean, std=std)
    arch = dataclasses.replace(space.smallest, resolution=8)
    torch.manual_seed(0)
    net = build_subnet(space, arch)
    recalibrate_batch_norm(net, [next(test.all_at(8, 6))])
    path = tmp_path / f"net.{format_name}"
    metadata = {**describe(dataset.test.classes, mean, std), "image_size": "12"}
    export_subnet(net.eval(), space, arch, path, format_name, metadata=metadata)
    with torch.no_grad():
        expected = softmax_of(net(next(test.all_at(8, 6))))
    classifier = Classifier.open(path)
    photos = sorted((tmp_path / "data" / "test").glob("*/*"))
    for photo, shares in zip(photos, expected, strict=True):
        found = dict(classifier.classify(photo, top=3).classes)
        assert [found[name] for name in ("cat", "dog", "emu")] == pytest.approx(shares, abs=1e-4)


def test_a_run_says_which_of_its_networks_it_takes(run):
    result = CliRunner().invoke(main, ["predict", "runs/tiny", "0.png", "1.png", "--top", "2"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "runs/tiny/exported/3d9a19a4f0ca.tflite, the best of 2 verified networks" in result.stderr
    assert "0.png" in result.stdout
    assert "or 2" in result.stdout
    told = json.loads(CliRunner().invoke(main, ["predict", "runs/tiny", "0.png", "--json"]).stdout)
    assert told["file"] == "runs/tiny/exported/3d9a19a4f0ca.tflite"
    assert [len(row["classes"]) for row in told["images"]] == [3]
    assert told["images"][0]["ms"] > 0


def test_a_new_export_tells_at_which_size_its_images_are_stored(run, tmp_path):
    arch = ArchConfig.from_json(next(csv.DictReader(run.verified_path.read_text().splitlines()))["arch"])
    made = export_chosen(run, arch, "tflite", tmp_path / "new.tflite")
    assert open_exported(made.check.path).image_size == 28


def test_what_cannot_be_classified_is_named(run, tmp_path):
    classifier = Classifier.open(run.path)
    (tmp_path / "torn.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"torn.png is not a whole image \([^)]*\)$"):
        classifier.classify(tmp_path / "torn.png")
    with pytest.raises(InvalidInputError, match=r"must hold labels and normalisation .* `ofa-hw bench "):
        Classifier.open(ROOT / "ofa_hw" / "bench" / "reference.tflite")
    with pytest.raises(InvalidInputError, match=r"there must be an exported file .tflite or .onnx; nothing is none"):
        Classifier.open("nothing")
