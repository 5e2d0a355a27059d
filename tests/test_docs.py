"""The documentation says what the program does."""

import importlib.util
import sys
from pathlib import Path

import pytest

from ofa_hw.plugins import get_profiler, list_profilers
from ofa_hw.profiling.device import read_devices

ROOT = Path(__file__).parents[1]


def load_check():
    specification = importlib.util.spec_from_file_location("check_docs", ROOT / "docs" / "check_docs.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["check_docs"] = module
    specification.loader.exec_module(module)
    return module


check = load_check()


def test_documents_and_help_have_no_fault():
    assert list(check.faults()) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ofa-hw space show fashion", None),
        ("ofa-hw --help", None),
        ("ofa-hw space shwo fashion", "no command 'shwo'"),
        ("ofa-hw space show", "Missing argument"),
        ("ofa-hw report --htlm x", "--htlm"),
        ("ofa-hw nothing", "no command 'nothing'"),
    ],
)
def test_a_line_that_the_command_line_does_not_understand_is_found(line, told):
    fault = check.misunderstood(line)
    assert (fault is None) if told is None else (told in fault)


def test_command_lines_are_cut_out_of_what_surrounds_them():
    text = "# why\nofa-hw a --b \\\n  c  # because\ncat x | ofa-hw d\nmake demo\n$ ofa-hw e && ofa-hw f\n"
    assert [line.split() for line in check.command_lines(text)] == [
        ["ofa-hw", "a", "--b", "c"],
        ["ofa-hw", "d"],
        ["ofa-hw", "e"],
        ["ofa-hw", "f"],
    ]


def test_links_that_lead_nowhere_and_code_that_does_not_compile_are_found(tmp_path):
    text = "[a](missing.md) [b](https://example.org)\n```python\nx = = 1\n```\n"
    told = " ".join(check._faults_of_text(tmp_path / "page.md", text))
    assert "missing.md leads nowhere" in told
    assert "does not compile" in told
    assert "example.org" not in told


DEVICE_BLOCKS = [
    pytest.param(block, id=f"{path.stem}-{index}")
    for path in check.documents()
    for index, (language, block) in enumerate(check.FENCE.findall(path.read_text()))
    if language == "toml" and "[devices." in block
]


@pytest.mark.parametrize("block", DEVICE_BLOCKS)
def test_every_device_of_the_guides_is_understood(block, tmp_path):
    (tmp_path / "ofa-hw.toml").write_text(block)
    devices = read_devices(tmp_path / "ofa-hw.toml")
    assert devices
    for device in devices.values():
        if device.runtime in list_profilers():  # the guide to a profiler of one's own names one that is not there
            get_profiler(device.runtime, device)


# The tutorial's Python needs what its commands make: tests/test_tutorial.py runs both.
WITH_PYTHON = [path for path in check.documents() if "```python" in path.read_text() and path.name != "tutorial.md"]


@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: path.name)
def test_every_block_of_python_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "snippet"}
    for language, block in check.FENCE.findall(path.read_text()):
        if language == "python":
            exec(compile(block, str(path), "exec"), names)
