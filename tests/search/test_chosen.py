"""Networks by one name everywhere, through new searches."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor import read_samples
from ofa_hw.search import NamedObjectives, SearchProblem, search_front
from ofa_hw.search.chosen import find_network, keep_replaced
from ofa_hw.search.front_file import front_text
from tests.search import example


@pytest.fixture(scope="module")
def fronts():
    named = NamedObjectives.of(example.SPACE, example.predictor(), {})
    problem, both = (
        SearchProblem(space=example.SPACE, objectives=(named["top1"], named[cost])) for cost in ("macs", "params")
    )
    start = example.SPACE.sample(30, np.random.default_rng(0))
    return [search_front(told, num_evaluations=40, start=start, seed=seed) for seed, told in ((1, problem), (2, both))]


@pytest.fixture
def run(tmp_path, fronts):
    folder = example.run(tmp_path / "run", fitted=False)
    fronts[0].write(folder.front_path)
    return folder


def test_a_network_is_found_by_id_by_the_start_of_it_and_by_number(run, fronts):
    arch = fronts[0].archs[-1]
    for name in (arch.arch_id, arch.arch_id[:6], arch.arch_id[:6].upper(), str(len(fronts[0]))):
        assert find_network(run, name) == arch


def test_sampled_and_fine_tuned_networks_are_found_too(run):
    sampled = read_samples(run.samples_path)[7].arch
    assert find_network(run, sampled.arch_id) == sampled
    tuned = example.SPACE.sample(1, np.random.default_rng(9))[0]
    run.exported_path.mkdir()
    save_file({}, run.exported_path / f"{tuned.arch_id}.safetensors", metadata={"arch": tuned.to_json()})
    assert find_network(run, tuned.arch_id) == tuned


def test_what_is_unknown_or_not_unique_is_told_in_one_line(run, fronts):
    for name, told in (("zzzz", "knows no network 'zzzz'"), ("", "knows no network"), ("0", "numbered from 1|several")):
        with pytest.raises(InvalidInputError, match=told):
            find_network(run, name)
    starts = [sample.arch.arch_id[0] for sample in read_samples(run.samples_path)]
    common = next(start for start in starts if starts.count(start) > 1 and not start.isdecimal())
    with pytest.raises(InvalidInputError, match="means several networks"):
        find_network(run, common)


def test_a_replaced_front_stays_under_a_name_of_its_own_and_its_networks_are_found(run, fronts):
    before = run.front_path.read_bytes()
    assert keep_replaced(run.front_path, front_text(fronts[0])) is None
    kept = keep_replaced(run.front_path, front_text(fronts[1]))
    fronts[1].write(run.front_path)
    assert kept is not None
    assert kept.read_bytes() == before
    assert kept.name.startswith("pareto.")
    for front in fronts:
        for arch in front.archs:
            assert find_network(run, arch.arch_id) == arch


def test_a_number_that_was_another_network_before_is_refused(run, fronts):
    keep_replaced(run.front_path, front_text(fronts[1]))
    fronts[1].write(run.front_path)
    pairs = list(zip(*(front.archs for front in fronts), strict=False))
    number = next(index for index, (first, second) in enumerate(pairs) if first != second) + 1
    first, second = pairs[number - 1]
    with pytest.raises(InvalidInputError, match=rf"is {second.arch_id} in .*, and was {first.arch_id} in "):
        find_network(run, str(number))
