"""What is fitted and searched computes on one thread, whatever the machine has, and leaves the rest as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys

from threadpoolctl import threadpool_info

from ofa_hw.predictor import AccuracyPredictor, learning_curve
from ofa_hw.search.find import find_front
from ofa_hw.search.nsga2 import SearchPlan
from ofa_hw.search.objectives import SearchProblem, Top1
from tests.search import example

def num_threads():
    return {pool["num_threads"] for pool in threadpool_info()}

def note(*_):
    seen.append(num_threads())

def check(work):
    global seen
    seen = []
    result = work()
    assert seen and all(threads == {1} for threads in seen), seen
    assert num_threads() == {2}, threadpool_info()
    return result

space = example.SPACE
predictor = check(lambda: AccuracyPredictor.fit_samples(
    space, example.samples(60), model=sys.argv[1], num_folds=2, progress=note))
if sys.argv[1] == "ridge":
    check(lambda: learning_curve(predictor, progress=note))
problem = SearchProblem(space=space, objectives=(Top1(space=space, predictor=predictor),))
check(lambda: find_front(problem, SearchPlan.of(200, 50), progress=note))
"""


@pytest.mark.parametrize("model", ["ridge", "gbdt"])
def test_fit_and_search_compute_on_one_thread(model):
    # A process of its own, in which no library is loaded yet.
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, model],
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
