"""`ParetoFront`: the best trade-offs as networks with their figures, and what was asked for when they were found."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.cost import Direction, Source
from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {"top1": "top-1", "macs": "MACs", "params": "parameters"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontColumn:
    """One figure of every network of a front, with the ends of its 90 % interval where they are known.

    What is counted (MACs) bears its plain name in files, all else says where it comes from: `header` is
    `predicted_latency_ms`.

    Raises:
        InvalidInputError: the name could not stand in a file, direction or source is none of those there are, or there
            are other numbers of values and of ends.
    """

    name: str
    unit: str
    direction: Direction
    source: Source
    values: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (self.name and f"{self.name}{self.unit}".isprintable()):
            raise InvalidInputError(f"an objective must have a name and unit of printable letters; came {self.name!r}")
        if self.direction not in get_args(Direction) or self.source not in get_args(Source):
            raise InvalidInputError(
                f"{self.name} must be of a direction ({', '.join(get_args(Direction))}) and a source "
                f"({', '.join(get_args(Source))}); came {self.direction!r}, {self.source!r}"
            )
        arrays = [self.values, *(() if self.low is self.high is None else (self.low or (), self.high or ()))]
        if len({len(array) for array in arrays}) > 1 or not np.isfinite(arrays).all():
            raise InvalidInputError(f"{self.name} must have a finite value, and both ends or none, for every network")

    @property
    def header(self) -> str:
        """The name of the column in files."""
        return self._header()

    @property
    def title(self) -> str:
        """The name for a person: `top-1 predicted`, `latency predicted, ms`, `MACs`."""
        words = _WORDS.get(self.name, self.name.replace("_", " "))
        words = words if self.source == "counted" else f"{words} {self.source}"
        return f"{words}, {self.unit}" if self.unit else words

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of its columns in files: of the value and, where they are known, of the ends of its interval."""
        return (self.header,) if self.low is None else (self.header, self._header("low"), self._header("high"))

    def arrays(self) -> dict[str, tuple[float, ...]]:
        """Return the values and, where known, the ends of the intervals, by the names of their columns."""
        return dict(zip(self.headers, (self.values, self.low or (), self.high or ()), strict=False))

    def _header(self, end: str = "") -> str:
        source = "" if self.source == "counted" else self.source
        return "_".join(part for part in (source, self.name, end, self.unit) if part)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontLimit:
    """What every network keeps: the bound of the figure `name`, with `confidence` where that was asked for."""

    name: str
    bound: float
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.bound):
            raise InvalidInputError(f"the limit of {self.name} must be finite; came {self.bound}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontTable:
    """The table that the latency `name` is by: its device, and its file where it has one."""

    name: str
    device: str
    file: str | None = None


_Named = TypeVar("_Named", FrontColumn, FrontLimit, FrontTable)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParetoFront:
    """Networks of `space`, none better than another in every objective; the figures of each by column.

    `objectives` are what was traded off, `others` are shown beside them. A limit is on a figure that has a column.

    Raises:
        InvalidInputError: two columns have one name, a limit is on none of them, or their numbers of values differ.
    """

    space: SearchSpace
    archs: tuple[ArchConfig, ...]
    objectives: tuple[FrontColumn, ...]
    others: tuple[FrontColumn, ...] = ()
    limits: tuple[FrontLimit, ...] = ()
    tables: tuple[FrontTable, ...] = ()
    num_evaluations: int

    def __post_init__(self) -> None:
        headers = [header for column in self.columns for header in column.headers]
        names = {column.name for column in self.columns}
        if len(set(headers)) != len(headers) or len(names) != len(self.columns):
            raise InvalidInputError(f"the columns of a front must have different names; came {', '.join(headers)}")
        needed = [*(limit.name for limit in self.limits), *(table.name for table in self.tables)]
        unknown = [name for name in needed if name not in names]
        if not self.objectives or unknown:
            raise InvalidInputError(
                f"a front must have objectives, and a column for each limit and table; it has {', '.join(headers)}"
                + "".join(f", not {name}" for name in unknown)
            )
        for column in self.columns:
            if len(column.values) != len(self.archs):
                raise InvalidInputError(f"{column.name} must have {len(self.archs)} values; came {len(column.values)}")

    def __len__(self) -> int:
        return len(self.archs)

    def __repr__(self) -> str:
        traded = ", ".join(column.name for column in self.objectives)
        return (
            f"<ParetoFront of {self.space.name}: {len(self)} networks by {traded}, of {self.num_evaluations:,} scored>"
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return the networks as a data frame, one a row, under the names of the columns of the file."""
        import pandas as pd

        return pd.DataFrame(
            [{**row, "arch": arch.to_json()} for row, arch in zip(self.to_rows(), self.archs, strict=True)]
        )

    @property
    def columns(self) -> tuple[FrontColumn, ...]:
        """The objectives, then the others."""
        return (*self.objectives, *self.others)

    def column(self, name: str) -> FrontColumn:
        """Return the column `name`, such as top1 or latency; InvalidInputError lists what there is."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InvalidInputError(
            f"the front has no figure {name!r}; it has {', '.join(column.name for column in self.columns)}"
        )

    def values(self, name: str) -> FloatArray:
        """Return the figure `name` (n,); InvalidInputError lists what there is."""
        return np.array(self.column(name).values)

    def renamed(self, name: str, new_name: str) -> ParetoFront:
        """Return the front with the figure `name` under `new_name`, also in its limits and tables."""

        def renamed(entries: tuple[_Named, ...]) -> tuple[_Named, ...]:
            return tuple(
                dataclasses.replace(entry, name=new_name) if entry.name == name else entry for entry in entries
            )

        return dataclasses.replace(
            self,
            objectives=renamed(self.objectives),
            others=renamed(self.others),
            limits=renamed(self.limits),
            tables=renamed(self.tables),
        )

    def head(self) -> dict[str, Any]:
        """Return what the front is about, as plain values."""
        facts = ("name", "unit", "direction", "source")
        return {
            "num_evaluations": self.num_evaluations,
            "objectives": [{fact: getattr(column, fact) for fact in facts} for column in self.objectives],
            "others": [{fact: getattr(column, fact) for fact in facts} for column in self.others],
            "limits": [dataclasses.asdict(limit) for limit in self.limits],
            "tables": [dataclasses.asdict(table) for table in self.tables],
        }

    def to_rows(self) -> list[dict[str, object]]:
        """Return each network as plain values: its id, genes, architecture and every figure."""
        arrays = {name: array for column in self.columns for name, array in column.arrays().items()}
        genes = self.space.encode(self.archs)
        return [
            {
                "arch_id": arch.arch_id,
                **{name: array[index] for name, array in arrays.items()},
                "genes": "-".join(map(str, genes[index].tolist())),
                "arch": arch.to_dict(),
            }
            for index, arch in enumerate(self.archs)
        ]

    def write(self, path: str | Path) -> None:
        """Write the front to `path` as CSV, atomically; `read` gives back an equal one."""
        from ofa_hw.search.front_file import write_front

        write_front(Path(path), self)

    @classmethod
    def read(cls, path: str | Path, space: SearchSpace) -> ParetoFront:
        """Return the front in the CSV file at `path`, of networks of `space`, in its order.

        Raises:
            RunError: the file is damaged, of another space or of a later schema, or holds no network.
        """
        from ofa_hw.search.front_file import read_front

        return read_front(Path(path), space)
