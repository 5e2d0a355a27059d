"""One search for many devices, objectives by name, limits of each."""

import dataclasses
import functools

import numpy as np
import pytest

from ofa_hw import plugins
from ofa_hw.cost import Macs
from ofa_hw.errors import InvalidInputError
from ofa_hw.search import Limit, NamedObjectives, SearchProblem, name_tables, prove_front
from ofa_hw.search.many_devices import device_problems, robust_problem, search_devices
from ofa_hw.search.proof import hypervolume_gap
from tests.search import example

TABLES = {
    "phone": example.table("phone"),
    "board": example.table("board", macs_per_ms=2e6, large_kernels=2.0),
    "host": example.table("host", macs_per_ms=4e7, large_kernels=0.5),
}


@pytest.fixture(scope="module")
def predictor():
    return example.predictor()


@pytest.fixture(scope="module")
def named(predictor):
    return NamedObjectives.of(example.SPACE, predictor, TABLES)


def test_objectives_are_found_by_name(named):
    assert set(named.by_name) == {
        "top1",
        "latency_phone",
        "latency_board",
        "latency_host",
        "macs",
        "params",
        "peak_memory",
    }
    with pytest.raises(InvalidInputError, match="no objective 'speed'; there are top1, latency_phone"):
        named["speed"]


def test_an_objective_of_a_plug_in_is_found_like_one_of_ours(monkeypatch, predictor):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Energy(Macs):
        name: str = "energy"
        unit: str = "mJ"

    monkeypatch.setattr("ofa_hw.search.named.load_objectives", lambda space: {"energy": Energy(space=space)})
    named = NamedObjectives.of(example.SPACE, predictor, {"phone": TABLES["phone"]})
    assert named["energy"].unit == "mJ"
    assert plugins.load_objectives(example.SPACE) == {}


def test_each_device_has_its_own_front_and_the_robust_one_keeps_every_limit(named):
    limits = named.limits([("latency_phone", "400us"), ("latency_board", "1ms")])
    problems = device_problems(named, limits)
    robust_of = functools.partial(robust_problem, named, limits)
    fronts = search_devices(problems, robust=robust_of, num_evaluations=10_000)
    assert list(fronts) == ["robust", "phone", "board", "host"]
    robust = fronts["robust"].genes
    assert (named["latency_phone"].evaluate(robust) <= 0.4).all()
    assert (named["latency_board"].evaluate(robust) <= 1.0).all()
    assert named["latency_phone"].evaluate(fronts["host"].genes).max() > 0.4
    for device in TABLES:
        proof = prove_front(problems[device], fronts[device].genes)
        assert proof.kind == "exact"
        assert proof.gap < 0.01


def test_limits_name_their_device(named):
    everywhere = named.limits([("latency", "0.5ms")])
    assert [limit.objective.name for limit in everywhere] == [f"latency_{device}" for device in TABLES]
    with pytest.raises(InvalidInputError, match="no table of a device 'tablet'; there are phone, board, host"):
        named.limits([("latency_tablet", "0.5ms")])
    with pytest.raises(InvalidInputError, match="latency_phone must be limited once"):
        named.limits([("latency_phone", "0.5ms"), ("latency", "0.4ms")])


def test_one_table_is_limited_by_its_device_too(predictor):
    named = NamedObjectives.of(example.SPACE, predictor, {"phone": TABLES["phone"]})
    assert named.limits([("latency_phone", "1ms")]) == named.limits([("latency", "1000 µs")])


def test_any_objective_is_limited_in_its_unit(named):
    top1, memory, macs = named.limits([("top1", "76%"), ("peak_memory", "256KiB"), ("macs", "20M")], confidence=0.9)
    assert (top1.bound, top1.is_ceiling, top1.confidence) == (pytest.approx(0.76), False, 0.9)
    assert (memory.bound, memory.is_ceiling, memory.confidence) == (262_144, True, None)
    assert macs.bound == 20_000_000


def test_an_objective_of_a_plug_in_is_limited_in_its_own_unit(monkeypatch, predictor):
    energy = dataclasses.replace(Macs(space=example.SPACE), name="energy", unit="mJ")
    monkeypatch.setattr("ofa_hw.search.named.load_objectives", lambda space: {"energy": energy})
    named = NamedObjectives.of(example.SPACE, predictor, {})
    assert [named.limits([("energy", text)])[0].bound for text in ("3mJ", "2.5", "-1e3 mj")] == [3.0, 2.5, -1000.0]
    with pytest.raises(
        InvalidInputError, match=r"the limit of energy must be a number with no suffix, mJ, such as 1\.5mJ"
    ):
        named.limits([("energy", "3J")])


def test_tables_of_one_device_are_told_apart_by_their_files(tmp_path):
    first, second = (dataclasses.replace(TABLES["phone"], origin=tmp_path / name) for name in ("cpu.csv", "gpu.csv"))
    assert list(name_tables([first, second])) == ["cpu", "gpu"]
    assert list(name_tables([first, TABLES["board"]])) == ["phone", "board"]
    with pytest.raises(InvalidInputError, match="different devices or files; came cpu, cpu"):
        name_tables([first, first])


def test_limits_that_exclude_each_other_on_two_devices_are_told_before_the_search(named):
    least = {
        name: latency.evaluate(np.zeros((1, example.SPACE.num_genes), np.int8))[0]
        for name, latency in named.latencies.items()
    }
    limits = named.limits([("latency_phone", f"{0.9 * least['phone']}ms"), ("latency_board", "99ms")])
    with pytest.raises(InvalidInputError, match=r"latency_phone at most .* cannot be kept: the least"):
        search_devices(device_problems(named, limits), num_evaluations=10_000_000)


def test_a_front_lacks_what_a_better_one_has():
    best = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    assert hypervolume_gap(best, best) == pytest.approx(0, abs=1e-6)
    assert hypervolume_gap(best[[0, 2]], best) == pytest.approx(1, abs=1e-6)


def test_a_local_proof_leaves_no_single_change_that_improves(predictor):
    named = NamedObjectives.of(example.SPACE, predictor, {"phone": TABLES["phone"]})
    # A limit on what is no objective: the front is not that without the limit, cut.
    problem = SearchProblem(
        space=named.space,
        objectives=(named["top1"], named["latency"]),
        limits=(Limit(objective=named["params"], bound=110_000.0),),
    )
    found = search_devices({"front": problem}, num_evaluations=600)["front"]
    proof = prove_front(problem, found.genes)
    assert proof.kind == "local"
    assert proof.is_complete
    assert proof.num_scored > len(proof.genes)
    again = prove_front(problem, proof.genes)
    assert again.gap == pytest.approx(0, abs=1e-12)
    assert len(again.genes) == len(proof.genes)
