"""benchmark.json: what was written is read back, and what cannot be compared is refused."""

import dataclasses
import json

import pytest

from ofa_hw.bench import read_benchmark
from ofa_hw.bench.benchmark import require_comparable
from ofa_hw.errors import RunError
from ofa_hw.files import write_json
from tests.bench.example import CONDITIONS, benchmark, figure


def test_a_benchmark_read_back_is_the_benchmark_written(tmp_path):
    written = benchmark(figure("a"), figure("b <i>|", seed=3))
    write_json(tmp_path / "b.json", written.to_json())
    assert read_benchmark(tmp_path / "b.json") == written


@pytest.mark.parametrize(
    ("field", "value"),
    [("device", "pixel"), ("runtime", "onnxruntime"), ("dtype", "int8"), ("batch_size", 8), ("num_threads", 4)],
)
def test_a_baseline_under_other_conditions_is_refused_with_what_differs(field, value):
    other = benchmark(conditions=(dataclasses.replace(CONDITIONS, **{field: value}),))
    with pytest.raises(
        RunError, match=rf"base\.json: .* differs in {field} \({value}, not {getattr(CONDITIONS, field)}\)"
    ):
        require_comparable(other, benchmark(), path="base.json")


def test_a_baseline_of_another_reference_or_space_is_refused_with_all_that_differs():
    other = benchmark(references={"tflite": "4567"}, space="fashion")
    with pytest.raises(RunError, match=r"space \(fashion, not None\), reference model of tflite \(4567, not 0123\)"):
        require_comparable(other, benchmark(), path="base.json")


def test_versions_clocks_and_cores_may_differ():
    changed = dataclasses.replace(CONDITIONS, runtime_version="9", clocks="1 MHz", cpu_mask="0x1", governor="other")
    require_comparable(benchmark(), benchmark(conditions=(changed,)), path="base.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "other"}, "it is of other 2: make it anew"),
        ({"schema_version": 1}, "it is of ofa-hw-benchmark 1: make it anew"),
        ({"figures": [{"name": "a"}]}, "must be a benchmark.json"),
        ({"figures": None}, "must be a benchmark.json"),
        ({"conditions": [{}]}, "must be a benchmark.json"),
        ({"surprise": 1}, "surprise"),
        ({"references": "x"}, "references must be an object"),
        ({"machine": None}, "machine must be an object"),
        ({"name": 1}, "name must be a text"),
    ],
)
def test_another_schema_or_a_damaged_file_is_named(tmp_path, change, told):
    (tmp_path / "b.json").write_text(json.dumps(benchmark().to_json() | change))
    with pytest.raises(RunError, match=rf"b\.json.*{told}"):
        read_benchmark(tmp_path / "b.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b'{"schema": 1}', b"null"])
def test_what_is_no_benchmark_is_told_by_its_name(tmp_path, content):
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(RunError, match=r"b\.json"):
        read_benchmark(tmp_path / "b.json")


@pytest.mark.parametrize("where", ["value", "ratios", "ms"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(tmp_path, where, number):
    told = benchmark().to_json()
    told = json.loads(json.dumps(told))
    if where == "value":
        told["figures"][0]["value"] = number
    else:
        told["figures"][0]["times"][where][0] = number
    (tmp_path / "b.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match=rf"b\.json.*finite.*{number}"):
        read_benchmark(tmp_path / "b.json")
