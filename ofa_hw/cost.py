"""What a network costs, computed for whole gene matrices: latency from a table, MACs, parameters, peak memory.

Each is an `Objective`: the search minimises or maximises any number of them, those of a plug-in included.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.blocks import (
    BlockCosts,
    block_costs,
    block_macs,
    block_params,
    block_peak_values,
    costs_of_blocks,
    sum_block_costs,
)
from ofa_hw.errors import InvalidInputError
from ofa_hw.lut import LatencyTable
from ofa_hw.space import Genes, SearchSpace

Direction = Literal["min", "max"]
Source = Literal["counted", "measured", "predicted", "estimated"]
"""Where a figure comes from: counted from the network itself, measured on a device, predicted by what was fitted to
measurements, or estimated by a vendor's tool."""


class Objective(Protocol):
    """A figure of every network of a space. `unit` is empty where a number needs none (a fraction, a count)."""

    @property
    def name(self) -> str:
        """The name in tables and on the command line."""

    @property
    def unit(self) -> str:
        """The unit of the values, such as ms."""

    @property
    def direction(self) -> Direction:
        """Whether less or more is better."""

    @property
    def source(self) -> Source:
        """Where the values come from; an objective of a plug-in that does not say is taken as predicted."""

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return the values (n,) for `genes` (n, num_genes)."""


@runtime_checkable
class UncertainObjective(Protocol):
    """An objective that may know how far it is off; `has_interval` says whether it does."""

    @property
    def has_interval(self) -> bool:
        """Whether `interval` answers."""

    def interval(self, genes: Genes, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Return the ends (n,) and (n,) between which the true value lies with probability `coverage`."""


def source_of(objective: Objective) -> Source:
    """Return where the values of `objective` come from: `predicted`, which claims least, where it does not say.

    Raises:
        InvalidInputError: it says something else than the four there are.
    """
    source: Source = getattr(objective, "source", "predicted")
    if source not in get_args(Source):
        raise InvalidInputError(
            f"the source of objective {objective.name} must be one of {', '.join(get_args(Source))}; came {source!r}"
        )
    return source


@dataclasses.dataclass(frozen=True, kw_only=True)
class LutLatency:
    """The latency of networks of `space` in milliseconds by `table`, its calibration applied.

    The blocks were measured, the network was not: its latency is a prediction.
    """

    space: SearchSpace
    table: LatencyTable
    name: str = "latency"
    unit: str = "ms"
    direction: Direction = "min"
    source: Source = "predicted"

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return latencies (n,); TableError where the table lacks a block."""
        return self.table.latency_ms(self.space, genes)

    @property
    def has_interval(self) -> bool:
        """Whether the table is calibrated."""
        return self.table.calibration is not None

    def interval(self, genes: Genes, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the latencies' intervals; TableError where the table is not calibrated."""
        return self.table.interval_ms(self.space, genes, coverage=coverage)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Macs:
    """The multiply-accumulates on one image."""

    space: SearchSpace
    name: str = "macs"
    unit: str = ""
    direction: Direction = "min"
    source: Source = "counted"

    @functools.cached_property
    def _costs(self) -> BlockCosts:
        return block_costs(self.space, block_macs)

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return MACs (n,)."""
        return sum_block_costs(self.space, genes, self._costs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params:
    """The learnt parameters of the network as one of its own."""

    space: SearchSpace
    name: str = "params"
    unit: str = ""
    direction: Direction = "min"
    source: Source = "counted"

    @functools.cached_property
    def _costs(self) -> BlockCosts:
        return block_costs(self.space, block_params)

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return parameters (n,)."""
        return sum_block_costs(self.space, genes, self._costs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """The largest activations that are alive at once in any block, in bytes, for one image."""

    space: SearchSpace
    bytes_per_value: int = 4
    name: str = "peak_memory"
    unit: str = "bytes"
    direction: Direction = "min"
    source: Source = "counted"

    def __post_init__(self) -> None:
        if self.bytes_per_value < 1:
            raise InvalidInputError(f"bytes_per_value must be 1 or more; came {self.bytes_per_value}")

    @functools.cached_property
    def _costs(self) -> BlockCosts:
        return block_costs(self.space, block_peak_values)

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return peaks in bytes (n,)."""
        static, elastic = costs_of_blocks(self.space, genes, self._costs)
        peaks: FloatArray = self.bytes_per_value * np.maximum(static.max(axis=1), elastic.max(axis=1))
        return peaks
