"""What errors tell to do works as it stands."""

import shlex
from pathlib import Path

from ofa_hw import errors
from ofa_hw.errors import how_to_install, or_nearest
from tests.test_docs import ROOT


def test_an_extra_is_installed_from_the_checkout_that_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert how_to_install("tflite") == "pip install -e '.[tflite]'"
    monkeypatch.chdir(tmp_path)
    *words, target = shlex.split(how_to_install("tflite", "onnx"))
    assert words == ["pip", "install", "-e"]
    folder = Path(target.removesuffix("[tflite,onnx]"))
    assert (folder / "pyproject.toml").samefile(ROOT / "pyproject.toml")


def test_an_extra_of_an_installed_package_is_installed_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "ofa_hw" / "errors.py"))
    assert how_to_install("tflite") == "pip install 'ofa-hw[tflite]'"
    assert how_to_install() == "pip install ofa-hw"


def test_only_what_is_near_is_suggested():
    assert or_nearest("serach", ["search", "space"]) == "; did you mean search?"
    assert or_nearest("banana", ["search", "space"]) == ""
