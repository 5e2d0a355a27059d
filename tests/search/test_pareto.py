"""Dominance, ranks, crowding, hypervolume."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ofa_hw.search.pareto import crowding_distances, dominates, hypervolume, is_non_dominated, pareto_ranks

POINTS = arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(2, 3)), elements=st.integers(0, 9).map(float))


@given(POINTS)
def test_dominance_is_antisymmetric_and_irreflexive(values):
    for a in values:
        assert not dominates(a, a)
        for b in values:
            assert not (dominates(a, b) and dominates(b, a))


@given(POINTS)
def test_a_row_is_of_the_front_where_none_dominates_it(values):
    on_front = {tuple(row) for row in values[is_non_dominated(values)]}
    assert on_front == {tuple(a) for a in values if not any(dominates(b, a) for b in values)}
    assert len(on_front) == is_non_dominated(values).sum()


@given(POINTS)
def test_ranks_peel_fronts_one_by_one(values):
    ranks = pareto_ranks(values)
    for rank in range(ranks.max() + 1):
        rest = values[ranks >= rank]
        peeled = {tuple(row) for row in rest[is_non_dominated(rest)]}
        assert {tuple(row) for row in values[ranks == rank]} == peeled


def test_crowding_is_the_side_of_the_cuboid_between_neighbours():
    values = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0], [5.0, 5.0]])
    distances = crowding_distances(values, np.array([0, 0, 0, 0, 1]))
    np.testing.assert_allclose(distances, [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf, np.inf])


def test_hypervolume_of_a_staircase():
    values = np.array([[1.0, 3.0], [2.0, 1.0], [9.0, 0.0]])
    assert hypervolume(values, np.array([4.0, 4.0])) == (4 - 1) * (4 - 3) + (4 - 2) * (3 - 1)
    assert hypervolume(values, np.array([1.0, 1.0])) == 0.0


@given(POINTS, st.data())
def test_hypervolume_never_shrinks_with_another_point(values, data):
    reference = np.full(values.shape[1], 8.0)
    num = data.draw(st.integers(1, len(values)))
    assert hypervolume(values[:num], reference) <= hypervolume(values, reference) + 1e-9
