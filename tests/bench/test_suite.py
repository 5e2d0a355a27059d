"""A suite file says what is measured, and a fault in it is named."""

import pytest

from ofa_hw.bench import read_suite
from ofa_hw.errors import InvalidInputError
from tests.test_docs import ROOT, check


@pytest.fixture
def write(tmp_path):
    for name in ("a.tflite", "b.onnx", "c.txt"):
        (tmp_path / name).write_bytes(b"model")

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_models_blocks_and_reference_are_read(write, tmp_path):
    suite = read_suite(
        write(
            'reference = "a.tflite"\n[models]\nfirst = "a.tflite"\n'
            'second = { file = "b.onnx", shapes = { x = [1, 3, 48, 192] } }\n'
            '[blocks]\nlate = { space = "fashion", keys = ["mbconv-r7-i24-m48-*-k5-*"] }\n'
        )
    )
    assert suite.name == "mine"
    assert suite.reference.path == tmp_path / "a.tflite"
    first, second, *blocks = suite.workloads
    assert (first.name, first.file.path, second.file.shapes) == ("first", tmp_path / "a.tflite", {"x": (1, 3, 48, 192)})
    assert blocks
    assert all(block.name == f"late/{block.specs[0].key}" and block.specs[0].kernel_size == 5 for block in blocks)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there must be models or blocks"),
        ("[models", "must be TOML"),
        ("[blocks]\na = { space = 3 }", "blocks.a.space must be text"),
        (
            '[blocks]\na = { space = "fashion", resolutions = [0] }',
            "blocks.a.resolutions must be whole numbers above 0",
        ),
        ('[blocks]\na = { space = "fashion", resolutions = [] }', "blocks.a.resolutions must be whole numbers above 0"),
        ("[model]\na = 'a.tflite'", "the suite must hold name, reference, models, blocks; came model"),
        ("models = 3", "models must be a table; came 3"),
        ("[models]\na = 3", "models.a must be a table; came 3"),
        ("[models]\na = {}", "models.a must hold file, shapes; file is missing"),
        ("[models]\na = { file = 'a.tflite', shape = 1 }", "came shape"),
        ("[models]\na = 'c.txt'", r"models.a must be a file .tflite or .onnx; came c.txt"),
        ("[models]\na = 'none.onnx'", r"models.a: there must be a file .*none.onnx; there is none"),
        ("[models]\na = { file = 'b.onnx', shapes = { x = 3 } }", "models.a.shapes.x must be a list; came 3"),
        ("[models]\na = { file = 'b.onnx', shapes = { x = [1, 0] } }", r"whole numbers above 0; came \[1, 0\]"),
        ("[models]\na = { file = 'b.onnx', shapes = { x = [1, true] } }", "whole numbers above 0"),
        ("[models]\n'a\\nb' = 'a.tflite'\n\"c\\u0007\" = 'a.tflite'", "a name must be one printable line"),
        (
            "[blocks]\na = { space = 'fashion', keys = ['none*'] }",
            r"must match blocks of fashion, such as .* match none",
        ),
        ("[blocks]\na = { space = 'nothing' }", "nothing"),
        ("[blocks]\na = { resolutions = [28] }", "space is missing"),
    ],
)
def test_a_fault_is_told_with_the_file_and_the_entry(write, text, told):
    with pytest.raises(InvalidInputError, match=told) as caught:
        read_suite(write(text))
    assert "mine.toml: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_same_name_twice_is_refused(write):
    with pytest.raises(InvalidInputError, match="name of its own"):
        read_suite(write("[models]\n'late/conv-r28-i1-m0-o16-k3-s2-h_swish' = 'a.tflite'\n"
                         "[blocks]\nlate = { space = 'fashion', keys = ['conv-*'] }"))  # fmt: skip


def test_the_suite_of_the_guide_is_understood(tmp_path):
    (text,) = [
        block
        for language, block in check.FENCE.findall((ROOT / "docs" / "guides" / "ci.md").read_text())
        if language == "toml"
    ]
    (tmp_path / "models").mkdir()
    for name in ("classifier.tflite", "detector.onnx"):
        (tmp_path / "models" / name).write_bytes(b"model")
    (tmp_path / "suite.toml").write_text(text)
    suite = read_suite(tmp_path / "suite.toml")
    assert suite.name == "mobile"
    assert suite.workloads[1].file.shapes == {"x": (1, 3, 48, 192)}
    assert len(suite.workloads) > 2


def test_the_suite_of_our_own_gate_is_understood():
    assert len(read_suite(ROOT / "benchmarks" / "suite.toml").workloads) == 6
