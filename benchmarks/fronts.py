"""Problems whose exact front is known, and what other searches find of it with the same budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.search import hypervolume, nsga2
from ofa_hw.search.pareto import is_non_dominated

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.integer]
NASBENCH201 = Path(__file__).parents[2] / "shared/data/nasbench201/nb201_acc_and_27device_latency.csv.gz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Two objectives, both minimised, over rows of genes; `exact` (n, 2) is the true front, `reference` the worst."""

    name: str
    num_choices: tuple[int, ...]
    evaluate: Callable[[Rows], Floats]
    exact: Floats
    reference: Floats

    def share(self, values: Floats) -> float:
        """Return the hypervolume of `values` (n, 2) as a share of that of the exact front."""
        return hypervolume(values, self.reference) / hypervolume(self.exact, self.reference)


def separable(num_genes: int = 46, num_choices: int = 3, seed: int = 0) -> Problem:
    """Return the sum over genes of two random terms at odds: what costs more is worth more, more or less."""
    rng = np.random.default_rng(seed)
    cost = np.sort(rng.random((num_genes, num_choices)), axis=1)
    gain = np.sort(rng.random((num_genes, num_choices)), axis=1)
    terms = np.stack([cost, -gain], axis=-1)
    front = np.zeros((1, 2))
    for of_gene in terms:
        sums = (front[:, None] + of_gene).reshape(-1, 2)
        front = sums[is_non_dominated(sums)]
    return Problem(
        name=f"separable, {num_genes} genes",
        num_choices=(num_choices,) * num_genes,
        evaluate=lambda genes: terms[np.arange(num_genes), genes].sum(axis=1),
        exact=front,
        reference=terms.max(axis=1).sum(axis=0),
    )


def nasbench201(path: Path = NASBENCH201) -> list[Problem]:
    """Return CIFAR-10 accuracy against latency on each of the 27 devices; all 15,625 cells are known."""
    import pandas as pd

    table = pd.read_csv(path, dtype={"ops": str})
    index = np.array([[int(op) for op in ops] for ops in table["ops"]]) @ 5 ** np.arange(6)[::-1]
    order = np.argsort(index)
    accuracy = table["cifar10_val_acc_mean"].to_numpy()[order]
    devices = table.columns[list(table.columns).index("nb201_latency_ms_cifar10") + 1 :]
    problems = []
    for device in devices:
        values = np.stack([table[device].to_numpy(np.float64)[order], 100 - accuracy], axis=1)
        problems.append(
            Problem(
                name=device,
                num_choices=(5,) * 6,
                evaluate=lambda genes, values=values: values[genes.astype(np.int64) @ 5 ** np.arange(6)[::-1]],
                exact=values[is_non_dominated(values)],
                reference=values.max(axis=0),
            )
        )
    return problems


def ours(problem: Problem, num_evaluations: int, seed: int) -> Floats:
    """Return the front of `nsga2` as a stranger would call it."""
    return nsga2(problem.num_choices, problem.evaluate, num_evaluations=num_evaluations, seed=seed).values


def random_search(problem: Problem, num_evaluations: int, seed: int) -> Floats:
    """Return the best of rows drawn uniformly."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, problem.num_choices, size=(num_evaluations, len(problem.num_choices)))
    return problem.evaluate(rows)


def pymoo_nsga2(problem: Problem, num_evaluations: int, seed: int, *, population_size: int = 50) -> Floats:
    """Return all that pymoo's NSGA-II evaluated: integer genes, its own crossover and mutation, no duplicates."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    seen: list[Floats] = []

    class Wrapped(PymooProblem):
        def __init__(self) -> None:
            most = np.array(problem.num_choices) - 1
            super().__init__(n_var=len(most), n_obj=2, xl=np.zeros_like(most), xu=most, vtype=int)

        def _evaluate(self, rows: Rows, out: dict[str, Floats], *_: object, **__: object) -> None:
            seen.append(problem.evaluate(rows.astype(np.int64)))
            out["F"] = seen[-1]

    algorithm = NSGA2(
        pop_size=population_size,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=20, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Wrapped(), algorithm, ("n_eval", num_evaluations), seed=seed, verbose=False)
    return np.concatenate(seen)[:num_evaluations]


def shares(
    search: Callable[[Problem, int, int], Floats], problem: Problem, num_evaluations: int, seeds: Sequence[int]
) -> Floats:
    """Return the share of the exact hypervolume that `search` finds with each seed, (seeds,)."""
    return np.array([problem.share(search(problem, num_evaluations, seed)) for seed in seeds])
