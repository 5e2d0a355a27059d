"""The robust front: networks that cost no device more than they must, against brute force."""

import dataclasses
import functools

import numpy as np
import pytest

from ofa_hw.cost import LutLatency
from ofa_hw.errors import InvalidInputError
from ofa_hw.search import GeneLayout, NamedObjectives
from ofa_hw.search.many_devices import ROBUST, device_problems, robust_problem, search_devices
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.search.regret import CommonLatency, Regret, WorstRegret
from ofa_hw.space import SearchSpace
from tests.search import example

SPACE = dataclasses.replace(
    example.SPACE,
    name="small",
    stages=example.SPACE.stages[:2],
    resolutions=example.SPACE.resolutions[-2:],
    kernel_sizes=(3, 5),
    expand_ratios=(3, 6),
    depths=(1, 2),
)
ALL = GeneLayout.of_space(SPACE).all_rows()


@dataclasses.dataclass(frozen=True, kw_only=True)
class InventedTop1:
    """Top-1 that grows with every choice, unevenly."""

    space: SearchSpace
    name: str = "top1"
    unit: str = ""
    direction: str = "max"
    source: str = "predicted"

    def evaluate(self, genes):
        weights = np.random.default_rng(0).random(self.space.num_genes)
        return 0.7 + 0.2 * np.tanh(genes @ weights / weights.sum())


@pytest.fixture(scope="module")
def named():
    latencies = {
        device: LutLatency(
            space=SPACE, table=example.table(device, SPACE, large_kernels=kernels), name=f"latency_{device}"
        )
        for device, kernels in (("phone", 6.0), ("board", 0.5))
    }
    return NamedObjectives(space=SPACE, by_name={"top1": InventedTop1(space=SPACE)}, latencies=latencies)


def least_ms(own_top1, own_ms, top1):
    """The least latency on a device's own front for at least `top1`, one at a time."""
    enough = own_ms[own_top1 >= top1 - 1e-12]
    return enough.min() if len(enough) else own_ms[own_top1.argmax()]


def test_no_network_at_least_as_accurate_has_a_smaller_worst_regret_by_brute_force(named):
    top1 = named["top1"].evaluate(ALL)
    latency = np.stack([told.evaluate(ALL) for told in named.latencies.values()])
    own = [is_non_dominated(np.stack([-top1, of_device], axis=1)) for of_device in latency]
    least = np.array(
        [[least_ms(top1[is_own], ms[is_own], level) for level in top1] for is_own, ms in zip(own, latency, strict=True)]
    )
    regret = (latency / least).max(axis=0)
    assert regret.min() == 1.0
    robust_of = functools.partial(robust_problem, named, ())
    found = search_devices(device_problems(named, ()), robust=robust_of, num_evaluations=len(ALL))[ROBUST]
    index = {row.tobytes(): number for number, row in enumerate(ALL)}
    chosen = [index[row.tobytes()] for row in found.genes]
    assert len(chosen) > 10
    worst = WorstRegret(regret=Regret(named["top1"], own_fronts(named, own))).evaluate(found.genes)
    np.testing.assert_allclose(worst, regret[chosen])
    for network in chosen:
        # Between two steps of the devices' own fronts, regrets of different networks are of the same latencies.
        rivals = (top1 >= top1[network] - 1e-12) & (least == least[:, [network]]).all(axis=0)
        assert regret[network] == pytest.approx(regret[rivals].min())
    level = np.sqrt(np.prod(least / least.max(axis=1, keepdims=True), axis=0))
    exact = is_non_dominated(np.stack([-top1, regret * level], axis=1))
    np.testing.assert_allclose(np.sort(found.values[:, 1]), np.sort((regret * level)[exact]))


def own_fronts(named, own):
    return [(latency, ALL[is_own]) for latency, is_own in zip(named.latencies.values(), own, strict=True)]


def test_a_device_with_a_cliff_does_not_decide_alone(named):
    """By the latency relative to the largest network, the front serves the device whose largest is no outlier."""
    top1 = named["top1"].evaluate(ALL)
    latency = np.stack([told.evaluate(ALL) for told in named.latencies.values()])
    own = [is_non_dominated(np.stack([-top1, of_device], axis=1)) for of_device in latency]
    regret = Regret(named["top1"], own_fronts(named, own))
    of_largest = (latency / latency[:, [np.argmax(top1)]]).max(axis=0)
    worst, _ = regret.worst(ALL)
    before = is_non_dominated(np.stack([-top1, of_largest], axis=1))
    now = is_non_dominated(np.stack([-top1, CommonLatency(regret=regret).evaluate(ALL)], axis=1))
    assert worst[now].mean() < worst[before].mean()


def test_a_regret_needs_the_fronts_of_two_devices(named):
    latency = named.latencies["phone"]
    for devices in ([(latency, ALL[:1])], [(latency, ALL[:1]), (latency, ALL[:0])]):
        with pytest.raises(InvalidInputError, match="two devices or more"):
            Regret(named["top1"], devices)


def test_a_network_beyond_every_own_front_is_compared_with_the_most_accurate_there():
    """Three networks of one device, known by hand."""

    class Told:
        def __init__(self, *values):
            self.values = np.array(values)

        def evaluate(self, genes):
            return self.values[genes[:, 0]]

    genes = np.array([[0], [1], [2]], np.int8)
    regret = Regret(Told(0.7, 0.8, 0.9), [(Told(1.0, 2.0, 8.0), genes[:2]), (Told(10.0, 10.0, 15.0), genes[:2])])
    np.testing.assert_allclose(regret.least_ms(np.array([0.6, 0.75, 0.95])), [[1, 2, 2], [10, 10, 10]])
    worst, level = regret.worst(genes)
    np.testing.assert_allclose(worst, [1, 1, 4])
    np.testing.assert_allclose(level, [0.5**0.5, 1, 1])
