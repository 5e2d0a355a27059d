"""How new genes come from old ones: crossover by units and by genes, mutation of what is active."""

from __future__ import annotations

import numpy as np

from ofa_hw.search.layout import GeneLayout, GeneMatrix

CROSSOVER_RATE = 0.5
"""The share of children that take units of both parents; the others begin as copies of one."""
EXTRA_MUTATIONS = 0.3
"""Spread over all genes as the probability that each mutates; one gene of every row mutates in any case."""


def spread_rows(layout: GeneLayout, num: int, rng: np.random.Generator) -> GeneMatrix:
    """Return `num` first rows: all smallest, all largest, then each choice equally often; one row: the middle."""
    limits = np.array(layout.num_choices) - 1
    uniform = np.round(np.linspace(0, 1, max(layout.num_choices))[:, None] * limits) if num > 1 else limits[None] // 2
    ends = uniform[[0, -1]]
    rest = max(0, num - len(ends))
    # A Latin hypercube: each gene's choices are dealt out evenly, in an order of its own.
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

    Positions that become active by a mutated depth take random choices; left at 0 they would all be the smallest.
    """
    num_choices = np.array(layout.num_choices)
    was_active = layout.is_active(genes)
    # Genes that must not mutate draw 2, above every probability.
    draws = np.where(was_active & (num_choices > 1), rng.random(genes.shape, dtype=np.float32), np.float32(2.0))
    is_mutated = draws < EXTRA_MUTATIONS / layout.num_genes
    # Whatever the probabilities say, a child that equals its parent would be wasted.
    is_mutated[np.arange(len(genes)), draws.argmin(axis=1)] = True
    rows, columns = np.nonzero(is_mutated)
    # A step of 1 to num_choices - 1, modulo the choices, always gives another choice.
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

    Positions that become active in a deeper stage hold their first choice.
    """
    changed = []
    for gene, num_choices in enumerate(layout.num_choices):
        for step in range(1, num_choices):
            other = genes.copy()
            other[:, gene] = (other[:, gene] + step) % num_choices
            changed.append(other)
    return layout.canonical(np.concatenate(changed)) if changed else genes[:0]
