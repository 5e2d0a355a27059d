"""Predictors of spaces that are plain choices."""

import numpy as np
import pytest

from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor import CategoricalPredictor

NUM_CHOICES = (3, 5, 2, 4)


def rows(num, seed=0):
    rng = np.random.default_rng(seed)
    genes = rng.integers(0, NUM_CHOICES, size=(num, 4))
    values = 250.0 + genes @ [3.0, -1.0, 8.0, 0.5] + 2.0 * (genes[:, 0] == genes[:, 3])
    return genes, values + rng.normal(0, 0.2, num)


@pytest.mark.parametrize("model", ["mlp", "gbdt"])
def test_values_of_any_unit_are_predicted_with_intervals_that_hold(model):
    predictor = CategoricalPredictor.fit(NUM_CHOICES, *rows(120), model=model, num_folds=3)
    genes, values = rows(500, seed=1)
    mean, std = predictor.predict(genes)
    low, high = predictor.interval(genes)
    assert np.sqrt(np.mean((mean - values) ** 2)) < 0.2 * values.std()
    assert 0.75 < ((low <= values) & (values <= high)).mean() <= 1
    assert (std > 0).all()


def test_what_is_no_row_of_the_space_is_refused():
    genes, values = rows(20)
    with pytest.raises(InvalidInputError, match="below num_choices"):
        CategoricalPredictor.fit((2, 2, 2, 2), genes, values)
    with pytest.raises(InvalidInputError, match=r"genes must be \(n, 3\)"):
        CategoricalPredictor.fit((3, 5, 2), genes, values)
    with pytest.raises(InvalidInputError, match="finite; came nan in row 4"):
        CategoricalPredictor.fit(NUM_CHOICES, genes, np.where(np.arange(20) == 4, np.nan, values))
    with pytest.raises(InvalidInputError, match="10 rows or more; came 5"):
        CategoricalPredictor.fit(NUM_CHOICES, genes[:5], values[:5])
    with pytest.raises(InvalidInputError, match="one number for each of 20 rows"):
        CategoricalPredictor.fit(NUM_CHOICES, genes, values[:5])
