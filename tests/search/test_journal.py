"""A search that was killed goes on where it was."""

import numpy as np
import pytest

from ofa_hw.errors import RunError
from ofa_hw.search import NamedObjectives, SearchPlan, SearchProblem
from ofa_hw.search import judge_journal as journal_module
from ofa_hw.search.find import find_front
from tests.search import example

PLAN = SearchPlan.of(600)


@pytest.fixture(scope="module")
def problem():
    named = NamedObjectives.of(example.SPACE, example.predictor(), {"phone": example.table("phone")})
    return SearchProblem(space=example.SPACE, objectives=(named["top1"], named["latency"]))


def stop_after(num):
    def callback(description, done, total):
        if done >= num:
            raise KeyboardInterrupt

    return callback


def test_a_killed_search_ends_with_the_same_front_and_scores_nothing_twice(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "INTERVAL_S", 0.0)
    path = tmp_path / "search.safetensors"
    unbroken = find_front(problem, PLAN, seed=3)
    with pytest.raises(KeyboardInterrupt):
        find_front(problem, PLAN, seed=3, journal=path, progress=stop_after(300))
    scored = []
    judge = type(problem).judge
    monkeypatch.setattr(type(problem), "judge", lambda self, genes: scored.append(len(genes)) or judge(self, genes))
    resumed = find_front(problem, PLAN, seed=3, journal=path)
    np.testing.assert_array_equal(resumed.genes, unbroken.genes)
    np.testing.assert_array_equal(resumed.values, unbroken.values)
    assert sum(scored) - 64 <= 300  # 64 probes tell which search it is


def test_a_journal_of_another_search_or_a_damaged_one_is_refused(problem, tmp_path):
    path = tmp_path / "search.safetensors"
    find_front(problem, PLAN, seed=3, journal=path)
    with pytest.raises(RunError, match="other objectives, limits, tables, budget or seed"):
        find_front(problem, PLAN, seed=4, journal=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="damaged"):
        find_front(problem, PLAN, seed=3, journal=path)
