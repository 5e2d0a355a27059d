"""How new genes come from old ones: crossover by units and by genes, mutation of what is active."""

from __future__ import annotations

import numpy as np

from ofa_hw.search.layout import GeneLayout, GeneMatrix

CROSSOVER_RATE = 0.5
EXTRA_MUTATIONS = 0.3
"""How many genes mutate on average beside the one that always does."""


def spread_rows(layout: GeneLayout, num: int, rng: np.random.Generator) -> GeneMatrix:
    """Return `num` rows to begin with: the smallest and the largest of every choice, then each choice equally often."""
    limits = np.array(layout.num_choices) - 1
    uniform = np.round(np.linspace(0, 1, max(layout.num_choices))[:, None] * limits) if num > 1 else limits[None] // 2
    ends = uniform[[0, -1]]
    rest = max(0, num - len(ends))
    strata = np.stack([(rng.permutation(rest) * choices) // max(rest, 1) for choices in layout.num_choices], axis=1)
    return layout.canonical(np.concatenate([ends, strata])[:num].astype(layout.dtype))


def vary(layout: GeneLayout, mothers: GeneMatrix, fathers: GeneMatrix, rng: np.random.Generator) -> GeneMatrix:
    """Return one child (n, num_genes) of each pair: crossed over by units with `CROSSOVER_RATE`, then mutated."""
    num_units = max(layout.units) + 1
    takes_father = rng.random((len(mothers), num_units)) < 0.5
    takes_father &= rng.random((len(mothers), 1)) < CROSSOVER_RATE
    children = np.where(takes_father[:, np.array(layout.units)], fathers, mothers)
    return mutate(layout, children, rng)


def mutate(layout: GeneLayout, genes: GeneMatrix, rng: np.random.Generator) -> GeneMatrix:
    """Return `genes` with another choice at one active gene of each row, and at others with a small probability.

    Positions that a mutated depth wakes take random choices, so that a deeper stage is not always a small one.
    """
    num_choices = np.array(layout.num_choices)
    was_active = layout.is_active(genes)
    draws = np.where(was_active & (num_choices > 1), rng.random(genes.shape, dtype=np.float32), np.float32(2.0))
    is_mutated = draws < EXTRA_MUTATIONS / layout.num_genes
    is_mutated[np.arange(len(genes)), draws.argmin(axis=1)] = True
    rows, columns = np.nonzero(is_mutated)
    steps = 1 + (rng.random(len(rows)) * (num_choices[columns] - 1)).astype(np.int64)
    children = genes.copy()
    children[rows, columns] = (genes[rows, columns] + steps) % num_choices[columns]
    if layout.governors is None:
        return children
    rows, columns = np.nonzero(layout.is_active(children) & ~was_active)
    children[rows, columns] = (rng.random(len(rows)) * num_choices[columns]).astype(np.int64)
    return layout.canonical(children)


def neighbours(layout: GeneLayout, genes: GeneMatrix) -> GeneMatrix:
    """Return every canonical row that differs from a row of `genes` in one gene; rows may repeat.

    Positions that a deeper stage wakes hold their first choice.
    """
    changed = []
    for gene, num_choices in enumerate(layout.num_choices):
        for step in range(1, num_choices):
            other = genes.copy()
            other[:, gene] = (other[:, gene] + step) % num_choices
            changed.append(other)
    return layout.canonical(np.concatenate(changed)) if changed else genes[:0]
