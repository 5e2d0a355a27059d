"""What is fitted and searched computes on one thread, whatever the machine has, and leaves the rest as it was."""

import pytest
import sklearn.ensemble  # noqa: F401  (brings OpenMP)
from threadpoolctl import threadpool_info, threadpool_limits

from ofa_hw.predictor import AccuracyPredictor, learning_curve
from ofa_hw.search.find import find_front
from ofa_hw.search.nsga2 import SearchPlan
from ofa_hw.search.objectives import SearchProblem, Top1
from tests.search import example


def num_threads():
    return {pool["num_threads"] for pool in threadpool_info()}


@pytest.mark.parametrize("model", ["ridge", "gbdt"])
def test_fit_and_search_compute_on_one_thread(model):
    seen = []

    def note(*_):
        seen.append(num_threads())

    with threadpool_limits(2):
        before = num_threads()
        predictor = AccuracyPredictor.fit_samples(
            example.SPACE, example.samples(60), model=model, num_folds=2, on_progress=note
        )
        num_of_fit = len(seen)
        if model == "ridge":
            learning_curve(predictor, on_progress=note)
        problem = SearchProblem(space=example.SPACE, objectives=(Top1(space=example.SPACE, predictor=predictor),))
        num_of_curve = len(seen)
        find_front(problem, SearchPlan.of(200, 50), on_progress=note)
        assert num_threads() == before == {2}
    assert 0 < num_of_fit <= num_of_curve < len(seen)
    assert all(threads == {1} for threads in seen)
