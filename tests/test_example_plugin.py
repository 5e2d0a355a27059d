"""The example packages are built, installed and tested as their authors would, without the network."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.test_docs import ROOT

EXAMPLES = ROOT / "examples"
PROFILER, FAMILY = EXAMPLES / "plain-onnxruntime", EXAMPLES / "fused-mbconv"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process in which the example of a profiler is installed, beside everything that is here."""
    pytest.importorskip("onnxruntime")
    return install(PROFILER, tmp_path_factory)


def install(example, tmp_path_factory):
    pytest.importorskip("setuptools", "77", reason="without the network a build needs setuptools here")
    # A copy, since a build leaves its folders in the source.
    source, target = tmp_path_factory.mktemp("source") / "example", tmp_path_factory.mktemp("target")
    shutil.copytree(example, source)
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(source)], check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)]), "PIP_NO_INDEX": "1"}


def test_the_example_passes_its_own_tests(installed, tmp_path):
    words = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(PROFILER / "tests")]
    done = python(["-m", "pytest", *words], installed, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1\d passed in", done.stdout), done.stdout


def test_its_device_is_listed(installed, tmp_path):
    program = "from ofa_hw.plugins import list_devices; print(*list_devices())"
    assert "host-plain-onnxruntime" in python(["-c", program], installed, tmp_path).stdout.split()


def test_the_family_passes_the_contract_of_families(tmp_path_factory, tmp_path):
    words = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(FAMILY / "tests")]
    done = python(["-m", "pytest", *words], install(FAMILY, tmp_path_factory), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b[78] passed in", done.stdout), done.stdout


def python(words, env, folder):
    return subprocess.run([sys.executable, *words], env=env, cwd=folder, capture_output=True, text=True, check=False)
