"""Objectives by the names that a person gives: top1, latency, macs, params, peak_memory, and those of plug-ins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ofa_hw.cost import LutLatency, Macs, Objective, Params, PeakMemory, UncertainObjective
from ofa_hw.errors import InvalidInputError
from ofa_hw.lut import LatencyTable
from ofa_hw.plugins import load_objectives
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.objectives import Limit, Top1
from ofa_hw.search.quantities import QuantityError, read_quantity
from ofa_hw.space import SearchSpace

LATENCY = "latency"
_QUANTITIES = {"top1": "fraction", "macs": "count", "params": "count"}
"""How a bound of an objective without a unit is written; of others it is their unit that tells."""


def name_tables(tables: Sequence[LatencyTable]) -> dict[str, LatencyTable]:
    """Return each table by its device, or by its file's name where two are of one device.

    Raises:
        InvalidInputError: two tables would still have one name.
    """
    devices = [table.device for table in tables]
    names = [
        table.origin.stem if table.origin is not None and devices.count(table.device) > 1 else table.device
        for table in tables
    ]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"tables must be of different devices or files; came {', '.join(names)}")
    return dict(zip(names, tables, strict=True))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NamedObjectives:
    """What networks of `space` can be judged by: each objective by its name.

    One table is called `latency`; several are `latency_<device>`.
    """

    space: SearchSpace
    by_name: Mapping[str, Objective]
    latencies: Mapping[str, LutLatency]

    @classmethod
    def of(
        cls, space: SearchSpace, predictor: AccuracyPredictor | None, tables: Mapping[str, LatencyTable]
    ) -> NamedObjectives:
        """Return the objectives that the predictor, the tables by device, and the plug-ins give."""
        latencies = {
            device: LutLatency(space=space, table=table, name=LATENCY if len(tables) == 1 else f"{LATENCY}_{device}")
            for device, table in tables.items()
        }
        known: list[Objective] = [*latencies.values(), Macs(space=space), Params(space=space), PeakMemory(space=space)]
        if predictor is not None:
            known.insert(0, Top1(space=space, predictor=predictor))
        known += load_objectives(space).values()
        by_name = {objective.name: objective for objective in known}
        if len(by_name) != len(known):
            raise InvalidInputError(
                f"objectives must have different names; came {', '.join(objective.name for objective in known)}"
            )
        return cls(space=space, by_name=by_name, latencies=latencies)

    def __getitem__(self, name: str) -> Objective:
        """Return the objective `name`; InvalidInputError lists the names where there is none."""
        if name not in self.by_name:
            rest = [] if "top1" in self.by_name else ["top1 with a predictor"]
            rest += [] if self.latencies else ["latency with a table"]
            raise InvalidInputError(f"no objective {name!r}; there are {', '.join([*self.by_name, *rest])}")
        return self.by_name[name]

    def limits(self, bounds: Sequence[tuple[str, str]], *, confidence: float | None = None) -> tuple[Limit, ...]:
        """Return the limits that pairs of an objective's name and a quantity, such as 30ms, 256KiB or 76%, tell.

        `latency` is that on every device, `latency_<device>` that on one. Limits of what has intervals are kept with
        `confidence`, those of what is exact are kept anyway.

        Raises:
            InvalidInputError: there is no such objective or device, or it is limited twice.
            QuantityError: it is no quantity of the objective's unit.
        """
        limits: dict[str, Limit] = {}
        for name, text in bounds:
            for objective in self._limited(name):
                if objective.name in limits:
                    raise InvalidInputError(f"{objective.name} must be limited once; came twice")
                unit = objective.unit or _QUANTITIES.get(objective.name, "")
                try:
                    bound = read_quantity(text, unit)
                except QuantityError as error:
                    raise QuantityError(f"the limit of {objective.name} {error}") from error
                sure = confidence if isinstance(objective, UncertainObjective) else None
                limits[objective.name] = Limit(objective=objective, bound=bound, confidence=sure)
        return tuple(limits.values())

    def _limited(self, name: str) -> Sequence[Objective]:
        """Return the objectives that a limit on `name` is about."""
        device = name.removeprefix(f"{LATENCY}_")
        if name in self.by_name or not name.startswith(LATENCY):
            return [self[name]]
        if not self.latencies:
            raise InvalidInputError("a limit of latency needs a table; give one by --lut")
        if name == LATENCY:
            return list(self.latencies.values())
        if device not in self.latencies:
            raise InvalidInputError(f"no table of a device {device!r}; there are {', '.join(self.latencies)}")
        return [self.latencies[device]]
