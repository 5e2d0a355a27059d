"""`ParetoFront`: the best trade-offs as networks with their figures, and the CSV file that keeps them."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ofa_hw import __version__
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import write_text
from ofa_hw.space import ArchConfig, SearchSpace

FloatArray = npt.NDArray[np.float64]
Source = Literal["predicted", "counted"]

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FrontColumn:
    """One figure of every network of a front, with the ends of its 90 % interval where they are known.

    What is counted (MACs) bears its plain name, what is predicted says so: `header` is `predicted_latency_ms`.
    """

    name: str
    unit: str
    source: Source
    values: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None

    @property
    def header(self) -> str:
        """The name of the column in files."""
        return _header(self.name, self.unit, self.source)

    def arrays(self) -> dict[str, FloatArray]:
        """Return the values and, where known, the ends of the intervals, by the names of their columns."""
        arrays = {self.header: self.values}
        if self.low is not None and self.high is not None:
            arrays[_header(f"{self.name}_low", self.unit, self.source)] = self.low
            arrays[_header(f"{self.name}_high", self.unit, self.source)] = self.high
        return arrays


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ParetoFront:
    """Networks of `space`, none better than another in every objective, sorted by the first; the figures by column.

    `facts` are further lines for the head of the file, by name: objectives, limits, the table of each latency.
    """

    space: SearchSpace
    archs: tuple[ArchConfig, ...]
    columns: tuple[FrontColumn, ...]
    num_evaluations: int
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.archs)

    def values(self, name: str) -> FloatArray:
        """Return the figure `name` (n,), such as top1 or latency; InvalidInputError lists what there is."""
        for column in self.columns:
            if column.name == name:
                return column.values
        raise InvalidInputError(
            f"the front has no figure {name!r}; it has {', '.join(column.name for column in self.columns)}"
        )

    def renamed(self, name: str, new_name: str) -> ParetoFront:
        """Return the front with the figure `name` under `new_name`."""
        columns = [dataclasses.replace(told, name=new_name) if told.name == name else told for told in self.columns]
        facts = {new_name if key == name else key: value for key, value in self.facts.items()}
        return dataclasses.replace(self, columns=tuple(columns), facts=facts)

    def to_rows(self) -> list[dict[str, object]]:
        """Return each network as plain values: its id, genes, architecture and every figure."""
        arrays = {name: array for column in self.columns for name, array in column.arrays().items()}
        genes = self.space.encode(self.archs)
        return [
            {
                "arch_id": arch.arch_id,
                **{name: float(array[index]) for name, array in arrays.items()},
                "genes": "-".join(map(str, genes[index].tolist())),
                "arch": arch.to_dict(),
            }
            for index, arch in enumerate(self.archs)
        ]

    def write(self, path: str | Path) -> None:
        """Write the front to `path` as CSV, atomically; `read_front` reads it back."""
        rows = self.to_rows()
        content = io.StringIO()
        content.write(
            f"# schema_version: {SCHEMA_VERSION}\n# space: {self.space.name}\n# tool_version: {__version__}\n"
        )
        content.write(f"# num_evaluations: {self.num_evaluations}\n")
        content.writelines(f"# {name}: {' '.join(value.split())}\n" for name, value in self.facts.items())
        writer = csv.writer(content, lineterminator="\n")
        columns = [name for column in self.columns for name in column.arrays()]
        writer.writerow(("arch_id", *columns, "genes", "arch"))
        for row, arch in zip(rows, self.archs, strict=True):
            writer.writerow((row["arch_id"], *(repr(row[name]) for name in columns), row["genes"], arch.to_json()))
        write_text(path, content.getvalue())


def read_front_archs(path: str | Path, space: SearchSpace) -> list[ArchConfig]:
    """Return the architectures of the front in the CSV file at `path`, in its order.

    Raises:
        RunError: the file is damaged or of another space.
    """
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    archs = []
    for number, row in enumerate(csv.DictReader(lines), start=1):
        try:
            archs.append(ArchConfig.from_json(row.get("arch") or ""))
            space.validate(archs[-1])
        except InvalidInputError as error:
            raise RunError(f"{path}, row {number}: {error}; make it again with `ofa-hw search`") from error
    if not archs:
        raise RunError(f"{path} holds no network; make it again with `ofa-hw search`")
    return archs


def _header(name: str, unit: str, source: Source) -> str:
    return "_".join(part for part in ("predicted" if source == "predicted" else "", name, unit) if part)
