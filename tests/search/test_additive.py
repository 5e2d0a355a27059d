"""Sums over blocks: recognised, minimised and traded off exactly."""

import dataclasses

import numpy as np
import pytest

from ofa_hw.cost import LutLatency, Macs, Params, PeakMemory
from ofa_hw.search import GeneLayout, Top1
from ofa_hw.search.additive import exact_front, find_terms, least, sum_terms
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.space import get_space
from tests.search import example

TINY = dataclasses.replace(
    get_space("fashion"), name="tiny", resolutions=(20, 28), kernel_sizes=(3, 5), expand_ratios=(2, 3), depths=(1, 2)
)


def tiny(num_stages=2):
    return dataclasses.replace(TINY, stages=TINY.stages[:num_stages])


@pytest.mark.parametrize("name", ["fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3"])
@pytest.mark.parametrize("cost", [Macs, Params])
def test_macs_and_parameters_are_sums(name, cost):
    space = get_space(name)
    objective = cost(space=space)
    terms = find_terms(space, objective.evaluate)
    genes = space.sample_genes(300, np.random.default_rng(5))
    np.testing.assert_allclose(sum_terms(terms, genes), objective.evaluate(genes), rtol=1e-12)


def test_peak_memory_is_no_sum():
    space = get_space("fashion")
    assert find_terms(space, PeakMemory(space=space).evaluate) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_least_of_all_networks_is_exact(sign):
    space, rng = tiny(), np.random.default_rng(0)
    every = GeneLayout.of_space(space).all_rows()
    latency = LutLatency(space=space, table=example.table(space=space, large_kernels=0.5))
    terms = find_terms(space, lambda genes: sign * latency.evaluate(genes))
    value, genes = least(terms)
    assert value == pytest.approx((sign * latency.evaluate(every)).min(), rel=1e-12)
    assert sign * latency.evaluate(genes)[0] == pytest.approx(value, rel=1e-12)
    assert len(every) == space.num_archs
    del rng


def test_the_exact_front_is_that_of_every_network():
    space = tiny()
    every = GeneLayout.of_space(space).all_rows()
    objectives = [
        LutLatency(space=space, table=example.table(space=space)).evaluate,
        lambda genes: -Top1(space=space, predictor=example.predictor(space=space)).evaluate(genes),
    ]
    terms = [find_terms(space, evaluate) for evaluate in objectives]
    values = np.stack([evaluate(every) for evaluate in objectives], axis=1)
    found = exact_front(*terms)
    of_front = np.stack([evaluate(found) for evaluate in objectives], axis=1)
    truth = values[is_non_dominated(values)]
    order, true_order = np.argsort(of_front[:, 0]), np.argsort(truth[:, 0])
    np.testing.assert_allclose(of_front[order], truth[true_order], rtol=1e-9)
