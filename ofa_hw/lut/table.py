"""`LatencyTable`: the latency of each block on one device, and from these the latency of every network."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.blocks import (
    BlockCosts,
    BlockSpec,
    block_costs,
    block_params,
    block_specs,
    largest_kernel,
    sum_block_costs,
)
from ofa_hw.errors import TableError
from ofa_hw.families import family_of
from ofa_hw.lut.calibration import Calibration, Sizes, fit_calibration
from ofa_hw.profiling.measurement import Measurement, NetworkMeasurement, RunConditions
from ofa_hw.space import Genes, SearchSpace

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyTable:
    """Measured blocks of the space named `space`, one row each, all under the same conditions.

    `notes` are further facts for the head: single lines under names of their own. `tool_version` is the version of
    ofa-hw that made it, `origin` the file it came from.

    Raises:
        TableError: there is no row, a block stands twice, or conditions differ.
    """

    space: str
    measurements: tuple[Measurement, ...]
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    tool_version: str = dataclasses.field(default_factory=lambda: importlib.metadata.version("ofa-hw"))
    origin: Path | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.measurements:
            raise TableError(f"{self.title}: must have at least one row; came none")
        if len(self._rows) != len(self.measurements):
            twice = Counter(row.block.key for row in self.measurements).most_common(1)[0][0]
            raise TableError(f"{self.title}: each block must stand once; {twice} stands twice")
        for row in self.measurements:
            if row.conditions != self.conditions:
                raise TableError(
                    f"{self.title}: all rows must have the same conditions; {row.block.key} was measured with "
                    f"{row.conditions}, the first row with {self.conditions}"
                )

    def __repr__(self) -> str:
        text = "calibrated" if self.calibration else "not calibrated"
        return (
            f"<LatencyTable of {self.space} on {self.device}: {len(self.measurements)} blocks by "
            f"{self.conditions.runtime} {self.conditions.runtime_version}, {text}>"
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame, a block each, under the names of the columns of the file."""
        from ofa_hw.lut.csv_file import table_frame

        return table_frame(self)

    @property
    def conditions(self) -> RunConditions:
        """The conditions of every row."""
        return self.measurements[0].conditions

    @property
    def device(self) -> str:
        """The device's name."""
        return self.conditions.device

    @functools.cached_property
    def resolutions(self) -> tuple[int, ...]:
        """The sizes of input images, in pixels, that the table has a stem for.

        Stems are known by their input channels: of the convolutions that may read images, they have the fewest.
        """
        stems = [row.block for row in self.measurements if family_of(row.block).takes_images]
        image_channels = min((spec.in_channels for spec in stems), default=0)
        return tuple(sorted({spec.input_size for spec in stems if spec.in_channels == image_channels}))

    @functools.cached_property
    def _rows(self) -> dict[BlockSpec, Measurement]:
        return {row.block: row for row in self.measurements}

    # The next two are caches by space, filled on demand: the instance itself is frozen.
    @functools.cached_property
    def _arrays(self) -> dict[SearchSpace, tuple[BlockCosts, ...]]:
        return {}

    @functools.cached_property
    def _corrected(self) -> dict[SearchSpace, BlockCosts]:
        return {}

    @functools.cached_property
    def large_kernel(self) -> int:
        """The largest kernel size of its blocks."""
        return max(largest_kernel(row.block) for row in self.measurements)

    @property
    def title(self) -> str:
        """What an error calls the table: its file, or its device."""
        return str(self.origin or f"table of {self.device if self.measurements else self.space}")

    def _costs(self, space: SearchSpace) -> tuple[BlockCosts, ...]:
        """Return what each block of the space adds to the fields of `Sizes`; latency is NaN where not measured."""
        if space not in self._arrays:
            known = {row.block: row.median_ms for row in self.measurements}
            self._arrays[space] = (
                block_costs(space, lambda spec: known.get(spec, np.nan)),
                block_costs(space, block_params),
                block_costs(space, lambda _: 1),
                block_costs(space, lambda spec: largest_kernel(spec) == self.large_kernel),
            )
        return self._arrays[space]

    def _corrected_costs(self, space: SearchSpace, calibration: Calibration) -> BlockCosts:
        """Return what each block of the space adds to a calibrated latency: it is linear in the fields of `Sizes`."""
        if space not in self._corrected:
            parts = {
                field.name: calibration.added_ms(_sizes_of(getattr(costs, field.name) for costs in self._costs(space)))
                for field in dataclasses.fields(BlockCosts)
            }
            self._corrected[space] = BlockCosts(**parts)
        return self._corrected[space]

    # ---------------------------------------------------------------------------------------------- look-up

    def block_ms(self, spec: BlockSpec) -> float:
        """Return the latency of a block; TableError with the command that measures it, if it was not measured."""
        row = self._rows.get(spec)
        if row is None:
            raise self._missing(spec, self.space)
        return row.median_ms

    def sum_ms(self, space: SearchSpace, genes: Genes) -> FloatArray:
        """Return the plain sum of the blocks of each architecture, float64 (n,).

        Raises:
            TableError: a block that one of them needs was not measured; the message names it and the command.
        """
        return self._summed(space, genes, self._costs(space)[0])

    def latency_ms(self, space: SearchSpace, genes: Genes) -> FloatArray:
        """Return the latency of each architecture, float64 (n,), for genes (n, num_genes).

        It is the plain sum of the blocks, corrected where the table is calibrated; TableError as of `sum_ms`.
        """
        if self.calibration is None:
            return self.sum_ms(space, genes)
        costs = self._corrected_costs(space, self.calibration)
        return self.calibration.intercept_ms + self._summed(space, genes, costs)

    def interval_ms(self, space: SearchSpace, genes: Genes, *, coverage: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the ends (n,), (n,) between which measured latencies lie with probability `coverage`.

        Raises:
            TableError: the table is not calibrated, so nothing is known of its error; or as of `sum_ms`.
        """
        if self.calibration is None:
            raise TableError(
                f"{self.title}: intervals need a calibrated table; run `ofa-hw calibrate --lut {self._path_or_name}`"
            )
        sums = self.sum_ms(space, genes)
        return self.calibration.interval_ms(self._sizes(space, genes, sums), coverage=coverage)

    def _summed(self, space: SearchSpace, genes: Genes, costs: BlockCosts) -> FloatArray:
        """Return the sums of `costs` (n,), where what was not measured is NaN; TableError names the first."""
        sums = sum_block_costs(space, genes, costs)
        unknown = np.flatnonzero(np.isnan(sums))
        if len(unknown):
            arch = space.decode(genes[unknown[:1]])[0]
            spec = next(spec for spec in block_specs(space, arch) if spec not in self._rows)
            raise self._missing(spec, space.name)
        return sums

    def _sizes(self, space: SearchSpace, genes: Genes, sums: FloatArray) -> Sizes:
        return _sizes_of([sums, *(sum_block_costs(space, genes, costs) for costs in self._costs(space)[1:])])

    def sum_of(self, network: NetworkMeasurement) -> float:
        """Return the plain sum of the blocks of a measured network in milliseconds."""
        return sum(self.block_ms(spec) for spec in network.specs)

    def _missing(self, spec: BlockSpec, space: str) -> TableError:
        names = f"--device {shlex.quote(self.device)} --space {shlex.quote(space)}"
        command = f"ofa-hw profile {names} --out {self._path_or_name}"
        return TableError(
            f"{self.title}: has no row for block {spec.key} of space {space!r} (it was measured for {self.space!r} at "
            f"{', '.join(map(str, self.resolutions))} px); measure it with `{command}`"
            + (", where --space may be the folder of the run that has other classes" if space == self.space else "")
        )

    @property
    def _path_or_name(self) -> str:
        return shlex.quote(str(self.origin or f"lut/{self.device}.csv"))

    # ------------------------------------------------------------------------------------------------ files

    @classmethod
    def read(cls, path: str | Path, *, uncalibrated: bool = False) -> LatencyTable:
        """Return the table in the CSV file at `path`; with `uncalibrated` without the calibration that it may hold.

        Raises:
            TableError: naming file, line and column of what is damaged, missing, doubled or absurd.
        """
        from ofa_hw.lut.csv_file import read_table

        return read_table(Path(path), uncalibrated=uncalibrated)

    def write(self, path: str | Path) -> None:
        """Write the table to `path` as CSV, atomically; `read` gives back an equal one."""
        from ofa_hw.lut.csv_file import write_table

        write_table(Path(path), self)


def calibrate_table(
    table: LatencyTable, fit: Sequence[NetworkMeasurement], held_out: Sequence[NetworkMeasurement] = ()
) -> LatencyTable:
    """Return `table` with the calibration that the networks `fit` give, judged on the networks `held_out`.

    Raises:
        InvalidInputError: there are fewer than `MIN_NETWORKS`.
        TableError: a network holds a block that the table lacks, or was measured under other conditions.
    """
    for network in (*fit, *held_out):
        _check_conditions(table, network)
    calibration = fit_calibration(table.sum_of, fit, held_out, large_kernel=table.large_kernel)
    return dataclasses.replace(table, calibration=calibration)


def _sizes_of(arrays: Iterable[FloatArray]) -> Sizes:
    """Return four arrays, in the order of `LatencyTable._costs`, as sizes."""
    sum_ms, num_params, num_blocks, num_large_kernels = arrays
    return Sizes(sum_ms=sum_ms, num_params=num_params, num_blocks=num_blocks, num_large_kernels=num_large_kernels)


def _check_conditions(table: LatencyTable, network: NetworkMeasurement) -> None:
    fields = ("device", "runtime", "runtime_version", "dtype", "batch_size", "num_threads", "cpu_mask")
    for field in fields:
        mine, its = getattr(table.conditions, field), getattr(network.conditions, field)
        if mine != its:
            raise TableError(
                f"{table.title}: networks must be measured under the table's conditions; {field} is {mine!r} in the "
                f"table, {its!r} for network {network.name}"
            )
