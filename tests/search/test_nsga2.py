"""NSGA-II on discrete genes."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.errors import InvalidInputError
from ofa_hw.search import GeneLayout, Nsga2, SearchPlan, hypervolume, nsga2
from ofa_hw.search.operators import mutate, neighbours, spread_rows, vary
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.space import get_space

NUM_CHOICES = (4,) * 6


class Table:
    """A bumpy problem of two objectives over every row of six genes, which counts what is asked of it."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.weights = rng.random((6, 4, 2))
        self.bumps = rng.random((4,) * 6)
        self.asked = []

    def __call__(self, genes):
        self.asked.append(genes)
        values = self.weights[np.arange(6), genes].sum(axis=1)
        values[:, 0] += self.bumps[tuple(genes.T.astype(int))]
        return values * [1, 1]

    @property
    def exact(self):
        values = Table.__call__(self, np.array(list(itertools.product(range(4), repeat=6))))
        self.asked.pop()
        return values[is_non_dominated(values)], values.max(axis=0)


def test_no_row_is_scored_twice_and_the_budget_is_kept():
    table = Table()
    front = nsga2(NUM_CHOICES, table, population_size=20, num_evaluations=500, seed=1)
    rows = np.concatenate(table.asked)
    assert len(rows) == len(np.unique(rows, axis=0)) == front.num_evaluations == 500


def test_the_front_comes_close_to_the_exact_one_and_never_beats_it():
    table = Table()
    exact, reference = table.exact
    front = nsga2(NUM_CHOICES, table, num_evaluations=600, seed=0)
    share = hypervolume(front.values, reference) / hypervolume(exact, reference)
    assert 0.99 < share <= 1.0
    assert is_non_dominated(front.values).all()
    np.testing.assert_array_equal(front.values, table(front.genes))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 99))
def test_a_space_that_is_small_enough_is_searched_whole(num_choices, seed):
    rows = np.array(list(itertools.product(*map(range, num_choices))))
    weights = np.random.default_rng(seed).integers(0, 5, size=(len(num_choices), 4, 2)).astype(float)

    def evaluate(genes):
        return weights[np.arange(len(num_choices)), genes].sum(axis=1)

    front = nsga2(num_choices, evaluate, num_evaluations=2000, seed=seed)
    values = evaluate(rows)
    assert front.num_evaluations == len(rows)
    assert {tuple(row) for row in front.values} == {tuple(row) for row in values[is_non_dominated(values)]}


def test_one_objective_and_three_are_searched_too():
    rng = np.random.default_rng(0)
    weights = rng.random((8, 3, 3))
    for num in (1, 3):

        def evaluate(genes, num=num):
            return weights[np.arange(8), genes].sum(axis=1)[:, :num]

        front = nsga2((3,) * 8, evaluate, num_evaluations=800)
        assert front.values.shape[1] == num
        assert front.values[:, 0].min() == pytest.approx(weights[:, :, 0].min(axis=1).sum())


def test_genes_with_many_choices_are_not_cut_to_eight_bits():
    front = nsga2([300, 2], lambda genes: np.stack([-genes[:, 0], genes[:, 1]], axis=1), num_evaluations=600)
    assert front.genes.tolist() == [[299, 0]]


def test_a_row_that_keeps_the_limits_beats_any_that_does_not():
    search = Nsga2(GeneLayout.free((3, 3)), SearchPlan.of(9, 4))
    genes = search.ask(4)
    search.tell(genes, np.arange(8.0).reshape(4, 2), [3.0, 2.0, 0.0, 1.0])
    assert search.front.genes.tolist() == genes[[2]].tolist()
    assert search.nearest.tolist() == genes[2].tolist()


def test_rows_to_begin_with_are_asked_first():
    layout = GeneLayout.of_space(get_space("fashion"))
    initial = layout.sample(5, np.random.default_rng(3))
    search = Nsga2(layout, SearchPlan.of(100, 8), initial=initial)
    np.testing.assert_array_equal(search.ask(5), initial)


@pytest.mark.parametrize("values", [[[1.0, np.nan]] * 4, [[1.0, np.inf]] * 4, [1.0] * 4, [[1.0, 2.0]] * 3, [[]] * 4])
def test_values_of_a_wrong_kind_are_refused(values):
    search = Nsga2(GeneLayout.free((3, 3)), SearchPlan.of(9, 4))
    with pytest.raises(InvalidInputError, match="values must be"):
        search.tell(search.ask(4), values)


def test_numbers_that_make_no_search_are_refused():
    def evaluate(genes):
        return np.zeros((len(genes), 2))

    with pytest.raises(InvalidInputError, match="num_evaluations must be 1 or more; came 0"):
        nsga2((3, 3), evaluate, num_evaluations=0)
    with pytest.raises(InvalidInputError, match="population_size must be 2 or more; came 1"):
        nsga2((3, 3), evaluate, population_size=1)
    with pytest.raises(InvalidInputError, match="num_choices must hold 1 or more"):
        nsga2((3, 0), evaluate)


def test_the_same_seed_gives_the_same_front_whatever_the_hash_seed():
    program = (
        "import numpy as np\n"
        "from ofa_hw.search import nsga2\n"
        "weights = np.random.default_rng(0).random((20, 3, 2))\n"
        "evaluate = lambda genes: weights[np.arange(20), genes].sum(axis=1)\n"
        "front = nsga2((3,) * 20, evaluate, num_evaluations=2000, seed=5)\n"
        "print(front.genes.tolist(), front.values.tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


# ----------------------------------------------------------------------------------------------------- operators


@pytest.mark.parametrize("layout", [GeneLayout.free((5, 1, 3, 2)), GeneLayout.of_space(get_space("fashion"))])
def test_operators_give_canonical_rows_within_the_choices(layout):
    rng = np.random.default_rng(0)
    rows = layout.sample(200, rng)
    for made in (mutate(layout, rows, rng), vary(layout, rows, rows[::-1], rng), spread_rows(layout, 50, rng)):
        assert made.dtype == layout.dtype
        assert ((made >= 0) & (made < np.array(layout.num_choices))).all()
        np.testing.assert_array_equal(made, layout.canonical(made))


def test_a_mutant_is_never_its_parent():
    layout = GeneLayout.of_space(get_space("fashion"))
    rng = np.random.default_rng(0)
    rows = layout.sample(500, rng)
    assert (mutate(layout, rows, rng) != rows).any(axis=1).all()


def test_crossover_inherits_whole_stages():
    space = get_space("fashion")
    layout = GeneLayout.of_space(space)
    rng = np.random.default_rng(0)
    units = np.array(layout.units)
    mothers, fathers = layout.sample(300, rng), layout.sample(300, rng)
    children = vary(layout, mothers, fathers, rng)
    foreign = [(children != mothers) & (children != fathers)]
    # One gene mutates on purpose, others seldom: most units are wholly the mother's or wholly the father's.
    whole = [
        (children[:, units == unit] == parents[:, units == unit]).all(axis=1)
        for unit in range(max(units) + 1)
        for parents in (mothers, fathers)
    ]
    assert np.mean(np.array(whole[::2]) | np.array(whole[1::2])) > 0.6
    assert np.concatenate(foreign).sum(axis=1).mean() < 6


def test_neighbours_are_all_rows_one_change_away():
    layout = GeneLayout.free((3, 2))
    rows = {tuple(row) for row in neighbours(layout, np.array([[0, 0]], dtype=np.int8)).tolist()}
    assert rows == {(1, 0), (2, 0), (0, 1)}
