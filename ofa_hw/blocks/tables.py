"""The cost of every block of a space, as arrays that genes index: whole populations are summed without a loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.blocks.chain import blocks_after, blocks_before, output_of, stage_block
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import BlockSpec
from ofa_hw.space import Genes, SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockCosts:
    """What each block of a space costs.

    `before` (resolutions, blocks) are the static blocks before the stages; `after` (resolutions, widths, blocks) those
    behind them, by the width of the last stage. `elastic` (resolutions, positions, widths, widths, forms) are the
    blocks of the stages, by the width of their input and then their own; NaN where a position has fewer forms.
    """

    before: FloatArray
    elastic: FloatArray
    after: FloatArray


def block_costs(space: SearchSpace, cost: Callable[[BlockSpec], float]) -> BlockCosts:
    """Return what every block of the space costs, as arrays to be indexed by genes."""
    num_resolutions, num_widths = len(space.resolutions), space.num_widths
    shape = (num_resolutions, len(space.position_stages), num_widths, num_widths)
    elastic = np.full((*shape, space.max_num_forms), np.nan)
    before, after = [], []
    for index, resolution in enumerate(space.resolutions):
        chain = blocks_before(space, resolution)
        before.append([cost(spec) for spec in chain])
        size, channels = output_of(chain, space, resolution)
        # What enters the first stage has one width, whatever is chosen.
        widths = (channels,) * num_widths
        for position, (stage, rank) in enumerate(zip(space.position_stages, space.position_ranks, strict=True)):
            for place, spec in _forms(space, position, stage, rank, size, widths):
                elastic[index, position][place] = cost(spec)
                # The same for all forms of a position.
                output_size = spec.output_size
            size, widths = output_size, _stage_channels(space, stage)
        after.append([[cost(spec) for spec in blocks_after(space, size=size, in_channels=width)] for width in widths])
    return BlockCosts(
        before=np.array(before, dtype=np.float64), elastic=elastic, after=np.array(after, dtype=np.float64)
    )


def _stage_channels(space: SearchSpace, stage: int) -> tuple[int, ...]:
    """Return the channels of a stage for each of its widths."""
    return tuple(space.width(space.stages[stage].out_channels, ratio) for ratio in space.width_ratios or (1,))


def _forms(
    space: SearchSpace, position: int, stage: int, rank: int, size: int, widths: tuple[int, ...]
) -> Iterator[tuple[tuple[int | slice, ...], BlockSpec]]:
    """Yield each form of a position and its place in the last three axes of `elastic`.

    `widths` are the channels that its input may have. After the first block of a stage the input has the stage's own
    width, so that one cost fills the whole axis of input widths.
    """
    for index, choice in enumerate(space.forms[position]):
        for w, ratio in enumerate(space.width_ratios or (1,)):
            inputs: list[tuple[int | slice, int]] = [(slice(None), widths[w])] if rank else [*enumerate(widths)]
            for place, in_channels in inputs:
                yield (
                    (place, w, index),
                    stage_block(space, stage, rank, choice, size=size, in_channels=in_channels, width_ratio=ratio),
                )


def costs_of_blocks(space: SearchSpace, genes: Genes, costs: BlockCosts) -> tuple[FloatArray, FloatArray]:
    """Return what each block of each architecture costs.

    Returns:
        The static blocks, float64 (n, num_static), and the elastic ones, float64 (n, num_positions), 0 where a
        position is not active.

    Raises:
        InvalidInputError: the matrix is not of this space.
    """
    genes = space.check_genes(genes)
    resolutions, widths = genes[:, 0].astype(np.intp), space.stage_widths(genes).astype(np.intp)
    stages, ranks = np.array(space.position_stages), np.array(space.position_ranks)
    own = widths[:, stages]
    # The first block of a stage reads the width of the stage before. Stage 0 has none before it: its own width stands
    # in, since the costs are the same along that axis.
    of_inputs = np.where(ranks > 0, own, widths[:, np.maximum(stages - 1, 0)])
    chosen = costs.elastic[resolutions[:, None], np.arange(len(stages)), of_inputs, own, space.form_indices(genes)]
    active = np.where(space.active_positions(genes), chosen, 0.0)
    static = np.concatenate([costs.before[resolutions], costs.after[resolutions, widths[:, -1]]], axis=1)
    return static, active


def sum_block_costs(space: SearchSpace, genes: Genes, costs: BlockCosts) -> FloatArray:
    """Return the summed costs of the blocks of each architecture, float64 (n,), where `costs` is of `block_costs`."""
    static, elastic = costs_of_blocks(space, genes, costs)
    totals: FloatArray = static.sum(axis=1) + elastic.sum(axis=1)
    return totals


def unique_block_specs(space: SearchSpace, resolutions: tuple[int, ...] | None = None) -> tuple[BlockSpec, ...]:
    """Return each distinct block of the space once, in the order of the network, for all or the given resolutions.

    Raises:
        InvalidInputError: a resolution is not of this space.
    """
    unknown = sorted(set(resolutions or ()) - set(space.resolutions))
    if unknown:
        raise InvalidInputError(f"resolutions must be among {space.resolutions} in {space.name!r}; came {unknown}")
    chosen = dataclasses.replace(space, resolutions=tuple(sorted(set(resolutions)))) if resolutions else space
    found: dict[BlockSpec, None] = {}

    # A cost that only notes what it is asked for: this way the blocks are those of `block_costs`.
    def note(spec: BlockSpec) -> float:
        found.setdefault(spec)
        return 0.0

    block_costs(chosen, note)
    return tuple(found)
