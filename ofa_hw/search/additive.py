"""Objectives that are sums over blocks: recognised by probing, their extremes and fronts computed exactly.

Latency of a table, MACs, parameters and a ridge predictor are of this kind: at one resolution the value is a constant,
plus a term for each stage's depth, plus a term for the choices of each active block. Where stages choose their widths,
a block's cost depends on the stage before it too, and no objective is such a sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.space import Genes, SearchSpace

NUM_CHECKS = 256
"""Random networks on which the sum must equal the objective."""
TOLERANCE = 1e-9
"""Relative to the spread or, where that is larger, to the magnitude of the values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdditiveTerms:
    """The terms of one objective.

    `base` (resolutions,) is the value of the network with index 0 in every gene. `depth` (resolutions, stages, depths)
    and `choice` (resolutions, positions, forms) are what other depths and forms add to it.
    """

    space: SearchSpace
    base: FloatArray
    depth: FloatArray
    choice: FloatArray


def find_terms(space: SearchSpace, evaluate: Callable[[Genes], FloatArray]) -> AdditiveTerms | None:
    """Return the terms of the objective `evaluate`; None where widths are elastic or random networks refute the sum."""
    if space.has_elastic_width:
        return None
    probes = _probes(space)
    num_resolutions = len(space.resolutions)
    genes = np.concatenate([_at_resolution(probes, resolution) for resolution in range(num_resolutions)])
    values = np.asarray(evaluate(genes), dtype=np.float64).reshape(num_resolutions, len(probes))
    num_stages, num_positions = len(space.stages), len(space.position_stages)
    num_depths, num_choices = space.max_num_depths, space.max_num_forms
    base = values[:, 0]
    # In the order of `_probes`: the base, the depths of each stage, the forms of each position.
    depth, choice = np.split(values[:, 1:], [num_stages * num_depths], axis=1)
    choice = choice.reshape(num_resolutions, num_positions, num_choices)
    terms = AdditiveTerms(
        space=space,
        base=base,
        depth=depth.reshape(num_resolutions, num_stages, num_depths) - base[:, None, None],
        # Against form 0 at the same position: a probe's depth, which may be above the least, then cancels out.
        choice=choice - choice[:, :, :1],
    )
    checks = space.sample_genes(NUM_CHECKS, np.random.default_rng(0))
    truth = np.asarray(evaluate(checks), dtype=np.float64)
    error = np.abs(sum_terms(terms, checks) - truth).max()
    return terms if error <= TOLERANCE * max(float(np.ptp(values)), float(np.abs(truth).max()), 1e-300) else None


def sum_terms(terms: AdditiveTerms, genes: Genes) -> FloatArray:
    """Return the objective (n,) of `genes` as the sum of its terms."""
    space = terms.space
    resolutions, forms = genes[:, 0].astype(np.intp), space.form_indices(genes)
    stages = np.arange(len(space.stages))
    depths = terms.depth[resolutions[:, None], stages, genes[:, space.columns["depth"]]].sum(axis=1)
    of_blocks = terms.choice[resolutions[:, None], np.arange(forms.shape[1]), forms]
    active: FloatArray = np.where(space.active_positions(genes), of_blocks, 0.0)
    return np.asarray(terms.base[resolutions] + depths + active.sum(axis=1))


def least(terms: AdditiveTerms) -> tuple[float, Genes]:
    """Return the least value of all networks, and the genes (1, num_genes) of a network with that value."""
    space = terms.space
    best, best_value = np.zeros((1, space.num_genes), dtype=np.int8), np.inf
    for resolution in range(len(space.resolutions)):
        row = np.zeros((1, space.num_genes), dtype=np.int8)
        row[0, 0] = resolution
        for stage in range(len(space.stages)):
            costs = []
            for index, depth in enumerate(space.stage_depths(stage)):
                positions = _positions(space, stage)[:depth]
                costs.append(
                    terms.depth[resolution, stage, index] + terms.choice[resolution, positions].min(axis=1).sum()
                )
            column = space.columns["depth"][stage]
            row[0, column] = int(np.argmin(costs))
            for position in _positions(space, stage)[: space.stage_depths(stage)[row[0, column]]]:
                _set_choice(space, row, position, int(terms.choice[resolution, position].argmin()))
        value = float(sum_terms(terms, row)[0])
        if value < best_value:
            best, best_value = row, value
    return best_value, best


def exact_front(first: AdditiveTerms, second: AdditiveTerms) -> Genes:
    """Return the genes (n, num_genes) of the exact front of two objectives that are minimised.

    Dynamic programming: every point on the front of a sum is a sum of points on the fronts of its parts, so blocks are
    added one by one and dominated partial sums are dropped. Of networks with equal values one is kept.
    """
    fronts = [_front_at(first, second, resolution) for resolution in range(len(first.space.resolutions))]
    values = np.concatenate([values for values, _ in fronts])
    genes = np.concatenate([genes for _, genes in fronts])
    return genes[is_non_dominated(values)]


def _front_at(first: AdditiveTerms, second: AdditiveTerms, resolution: int) -> tuple[FloatArray, Genes]:
    space = first.space
    start = np.zeros((1, space.num_genes), dtype=np.int8)
    start[0, 0] = resolution
    values, genes = np.array([[first.base[resolution], second.base[resolution]]]), start
    both_depths = np.stack([first.depth, second.depth], axis=-1)[resolution]
    both_choices = np.stack([first.choice, second.choice], axis=-1)[resolution]
    for stage in range(len(space.stages)):
        stage_values, stage_genes = np.zeros((1, 2)), np.zeros((1, space.num_genes), dtype=np.int8)
        grown: list[tuple[FloatArray, Genes]] = []
        depths = space.stage_depths(stage)
        for rank, position in enumerate(_positions(space, stage)):
            options = np.zeros((both_choices.shape[1], space.num_genes), dtype=np.int8)
            for choice, option in enumerate(options):
                _set_choice(space, option[None], position, choice)
            stage_values, stage_genes = _add_fronts(stage_values, stage_genes, both_choices[position], options)
            # A network may end the stage here: these partial sums are candidates of this depth.
            if rank + 1 in depths:
                index = depths.index(rank + 1)
                deep = stage_genes.copy()
                deep[:, space.columns["depth"][stage]] = index
                grown.append((stage_values + both_depths[stage, index], deep))
        # The depths of a stage exclude each other, so their candidates are pooled, not added.
        stage_front = _keep_front(np.concatenate([v for v, _ in grown]), np.concatenate([g for _, g in grown]))
        values, genes = _add_fronts(values, genes, *stage_front)
    return values, genes


def _add_fronts(
    values: FloatArray, genes: Genes, more_values: FloatArray, more_genes: Genes
) -> tuple[FloatArray, Genes]:
    """Return the front of all sums of two rows, one from each side; the genes of the two sides do not overlap."""
    sums = (values[:, None] + more_values[None]).reshape(-1, 2)
    kept = np.flatnonzero(is_non_dominated(sums))
    mine, its = np.divmod(kept, len(more_values))
    # Genes that a side does not set are 0, so that adding rows joins them.
    return sums[kept], genes[mine] + more_genes[its]


def _keep_front(values: FloatArray, genes: Genes) -> tuple[FloatArray, Genes]:
    mask = is_non_dominated(values)
    return values[mask], genes[mask]


def _probes(space: SearchSpace) -> Genes:
    """Return the rows whose differences are the terms: the base, each stage's depths, each position's forms."""
    num_depths, num_choices = space.max_num_depths, space.max_num_forms
    rows = [np.zeros(space.num_genes, dtype=np.int8)]
    for stage in range(len(space.stages)):
        for depth in range(num_depths):
            row = np.zeros(space.num_genes, dtype=np.int8)
            # A stage with fewer depths repeats its last, so that the result is a full array.
            row[space.columns["depth"][stage]] = min(depth, len(space.stage_depths(stage)) - 1)
            rows.append(row)
    for position, (stage, rank) in enumerate(zip(space.position_stages, space.position_ranks, strict=True)):
        # The smallest depth at which this position is active.
        depth = next(index for index, depth in enumerate(space.stage_depths(stage)) if depth > rank)
        for choice in range(num_choices):
            row = np.zeros((1, space.num_genes), dtype=np.int8)
            row[0, space.columns["depth"][stage]] = depth
            _set_choice(space, row, position, choice)
            rows.append(row[0])
    return np.stack(rows)


def _set_choice(space: SearchSpace, genes: Genes, position: int, choice: int) -> None:
    """Give the rows a form at `position`; where it has fewer, its last stands for those beyond."""
    space.set_form(genes, position, min(choice, len(space.forms[position]) - 1))


def _at_resolution(genes: Genes, resolution: int) -> Genes:
    genes = genes.copy()
    genes[:, 0] = resolution
    return genes


def _positions(space: SearchSpace, stage: int) -> list[int]:
    return [position for position, its in enumerate(space.position_stages) if its == stage]
