"""The trade-off on each device: what was sampled, searched and verified there, by the objectives of the front."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_hw.cost import Objective
from ofa_hw.lut import LatencyTable
from ofa_hw.report.results import RunResults
from ofa_hw.search import NamedObjectives, ParetoFront
from ofa_hw.search.front import FrontColumn
from ofa_hw.search.pareto import is_non_dominated
from ofa_hw.space import ArchConfig

if TYPE_CHECKING:
    import pandas as pd


ROBUST_OBJECTIVES = ("common_latency", "relative_latency")
"""What a front of many devices minimises; by the second one, earlier versions did."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceFront:
    """One run on one device, and the figures by which its networks are placed.

    Every table has a column `network`, the key under which the page knows a network, and one for each of `figures` by
    its name, NaN where it is not known. Those of `verified`, VERIFIED_COLUMNS with a `label`, the start of the id that
    tells it from the others, are what was measured, or counted; beside them stand `<name>_low` and `<name>_high`, the
    ends of the 95 % interval, and `<name>_promised`. Its `top1` is of the validation images, as that of the front and
    the samples is; what is of the test images has the names of VERIFIED_COLUMNS. `robust` are the networks that serve
    all devices, as far as they are a front on this one; none where the front is that itself. `limits` are the bounds
    that the search kept, by the names of figures, and `limited` those of them that are not drawn.
    """

    name: str
    figures: tuple[FrontColumn, ...]
    samples: pd.DataFrame
    front: pd.DataFrame
    verified: pd.DataFrame
    robust: pd.DataFrame
    limits: Mapping[str, float]
    limited: tuple[FrontColumn, ...]

    @property
    def is_predicted(self) -> bool:
        """Whether any of the figures is no count."""
        return any(figure.source != "counted" for figure in self.figures)


def network_key(runs: Sequence[RunResults], run_index: int, arch_id: str) -> str:
    """Return the key of a network: its arch_id, behind the place of its run where there are several."""
    return arch_id if len(runs) == 1 else f"{run_index + 1}.{arch_id}"


def device_fronts(runs: Sequence[RunResults]) -> list[DeviceFront]:
    """Return a front for each run that has one and, where it is told of further tables, for each of their devices."""
    fronts: list[DeviceFront] = []
    for index, results in enumerate(runs):
        for place, table in enumerate([results.lut, *results.other_tables] if results.lut else [None]):
            found = _front_on(results, table, is_first=not place)
            if found is None:
                continue
            tables = {
                name: shown.assign(network=[network_key(runs, index, arch_id) for arch_id in shown["arch_id"]])
                for name in ("samples", "front", "verified", "robust")
                for shown in [getattr(found, name)]
            }
            name = _name(results, table, has_runs=len(runs) > 1)
            fronts.append(dataclasses.replace(found, name=name, **tables))
    return _with_labels(fronts)


def _with_labels(fronts: Sequence[DeviceFront]) -> list[DeviceFront]:
    """Return the fronts, each verified network with the shortest start of its id that no other has, of 4 or more."""
    ids = {arch_id for front in fronts for arch_id in front.verified["arch_id"]}
    length = next((size for size in range(4, 12) if len({arch_id[:size] for arch_id in ids}) == len(ids)), 12)
    return [
        dataclasses.replace(front, verified=front.verified.assign(label=front.verified["arch_id"].str[:length]))
        for front in fronts
    ]


def comparable(fronts: Sequence[DeviceFront]) -> list[list[DeviceFront]]:
    """Return the fronts in groups that have the same figures, and so can stand in one picture."""
    groups: dict[tuple[str, ...], list[DeviceFront]] = {}
    for front in fronts:
        groups.setdefault(tuple(figure.name for figure in front.figures), []).append(front)
    return list(groups.values())


def axes_of(front: DeviceFront) -> list[tuple[FrontColumn, FrontColumn]]:
    """Return the figures along and up each picture of the front: what is maximised, else the last, stands upright."""
    upright = next((figure for figure in front.figures if figure.direction == "max"), front.figures[-1])
    return [(figure, upright) for figure in front.figures if figure is not upright]


def wilson_interval(fraction: float, num: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share that was found among `num` images (Wilson, 1927)."""
    from scipy.stats import binomtest

    ends = binomtest(round(fraction * num), num).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def is_level(first: float, second: float, num: int) -> bool:
    """Return whether two shares of `num` images differ by no more than chance: 0 lies in the 95 % interval.

    The interval is that of two samples (Newcombe, 1998, method 10). The same images were shown to both networks, so
    that chance moves their difference by less, and what is not level here is a difference indeed.
    """
    (high, low) = (max(first, second), min(first, second))
    room = math.hypot(high - wilson_interval(high, num)[0], wilson_interval(low, num)[1] - low)
    return high - low <= room


def with_top1_interval(verified: pd.DataFrame) -> pd.DataFrame:
    """Return `verified` with the ends of the 95 % interval of top-1, test_top1_low and test_top1_high."""
    shares = zip(verified["test_top1"], verified["num_test_images"], strict=True)
    ends = [wilson_interval(top1, int(num)) for top1, num in shares]
    return verified.assign(test_top1_low=[low for low, _ in ends], test_top1_high=[high for _, high in ends])


def _front_on(results: RunResults, table: LatencyTable | None, *, is_first: bool) -> DeviceFront | None:
    """Return the front of the run on the device of `table`, None where there is nothing to show of it.

    It is the one that a search for many devices found for this device, else the run's own. A further table prices the
    networks of that anew and keeps those that are still on a front; of a front without a latency, or of several, it
    tells nothing new.
    """
    own = results.device_fronts.get(table.device) if table else None
    front = own or results.front
    if front is None:
        return None
    figures = _figures(front)
    known = _known_objectives(results, front, table)
    rows, limits = _rows(front), {limit.name: limit.bound for limit in front.limits}
    if table is not None and not is_first and own is None:
        priced = {"latency", *(entry.name for entry in front.tables)} & {figure.name for figure in figures}
        if len(priced) != 1:
            return None
        (latency,) = priced
        rows[latency] = _values(known["latency"], results, rows)
        signs = [1.0 if figure.direction == "min" else -1.0 for figure in figures]
        is_kept = is_non_dominated(rows[[figure.name for figure in figures]].to_numpy() * signs)
        rows = rows[is_kept].sort_values(latency, kind="stable")
        limits = _limits_on(table.device, front, latency)
    samples = results.samples.assign(
        **{
            figure.name: results.samples["top1"]
            if figure.name == "top1"
            else _values(known.get(figure.name), results, results.samples)
            for figure in figures
        }
    )
    verified = with_top1_interval(_verified_on(results, table, is_first=is_first))
    for figure in figures:
        verified = verified.assign(**_verified_figure(figure.name, results, verified, rows, known))
    drawn = {figure.name for figure in figures}
    robust = _robust_rows(results, figures, known) if own is not None else None
    return DeviceFront(
        name="",
        figures=figures,
        samples=samples,
        front=rows,
        verified=verified,
        robust=rows.iloc[:0] if robust is None else robust,
        limits=limits,
        limited=tuple(column for column in front.columns if column.name in limits.keys() - drawn),
    )


def _verified_on(results: RunResults, table: LatencyTable | None, *, is_first: bool) -> pd.DataFrame:
    """Return the networks that were verified on the device of `table`; where the file does not say, on the first."""
    verified = results.verified
    if "device" not in verified:
        return verified if is_first else verified.iloc[:0]
    entry = {results.lut.device if results.lut else "", *(other.device for other in results.other_tables)}
    # What was verified on a device that is not shown stands on the first, so that it is seen at all.
    is_here = verified["device"] == table.device if table else verified["device"].notna()
    return verified[is_here | (~verified["device"].isin(entry) & is_first)]


def _robust_rows(
    results: RunResults, figures: Sequence[FrontColumn], known: Mapping[str, Objective]
) -> pd.DataFrame | None:
    """Return the networks of the robust front of the run that are a front on one device by its `figures`.

    None where the run has no such front, or it lacks a figure.
    """
    front = results.front
    names = {column.name for column in front.columns} if front else set()
    if front is None or not names.intersection(ROBUST_OBJECTIVES):
        return None
    if not {figure.name for figure in figures} <= {*names, *known}:
        return None
    rows = _rows(front)
    for figure in figures:
        if figure.name in known:
            rows[figure.name] = _values(known[figure.name], results, rows)
    signs = [1.0 if figure.direction == "min" else -1.0 for figure in figures]
    return rows[is_non_dominated(rows[[figure.name for figure in figures]].to_numpy() * signs)]


def _figures(front: ParetoFront) -> tuple[FrontColumn, ...]:
    """Return the figures by which a front is drawn, two at least where it has them: its objectives.

    The robust front is drawn by the latency on its first device: what is of all devices can be timed nowhere.
    """
    names = [column.name for column in front.columns]
    objectives = [
        front.column("latency") if column.name in ROBUST_OBJECTIVES and "latency" in names else column
        for column in front.objectives
    ]
    objectives = list(dict.fromkeys(objectives))
    rest = [column for column in front.others if column not in objectives]
    return tuple([*objectives, *rest][: max(2, len(objectives))])


def _rows(front: ParetoFront) -> pd.DataFrame:
    import pandas as pd

    facts = {"arch_id": [arch.arch_id for arch in front.archs], "arch": [arch.to_json() for arch in front.archs]}
    return pd.DataFrame(facts | {column.name: list(column.values) for column in front.columns})


def _known_objectives(results: RunResults, front: ParetoFront, table: LatencyTable | None) -> dict[str, Objective]:
    """Return what can be told of any network here, by name: what is counted, and the latency by the table."""
    named = NamedObjectives.of(results.space, None, {table.device: table} if table else {})
    known = dict(named.by_name)
    if table is not None:
        known |= {entry.name: known["latency"] for entry in front.tables if entry.device == table.device}
    return known


def _values(objective: Objective | None, results: RunResults, networks: pd.DataFrame) -> Any:
    """Return the figure of each of `networks`, NaN where nothing tells it."""
    if objective is None or not len(networks):
        return np.full(len(networks), math.nan)
    return objective.evaluate(results.space.encode(map(ArchConfig.from_json, networks["arch"])))


def _verified_figure(
    name: str, results: RunResults, verified: pd.DataFrame, rows: pd.DataFrame, known: Mapping[str, Objective]
) -> dict[str, Any]:
    """Return the columns of the figure `name` of verified networks: what was measured, its ends, what was promised."""
    ends = ("", "_low", "_high", "_promised")
    columns: tuple[str, ...]
    if name == "top1":
        ends_of_top1 = _validation_intervals(results, verified)
        return {"top1": verified["val_top1"], "top1_promised": verified["predicted_top1"], **ends_of_top1}
    if name == "latency" or known.get(name) is known.get("latency", ...):
        columns = (*(f"measured_latency{end}_ms" for end in ends[:3]), "predicted_latency_ms")
    else:
        on_front = dict(zip(rows["arch_id"], rows[name], strict=True))
        exact = _values(known.get(name), results, verified)
        values = [on_front.get(arch_id, value) for arch_id, value in zip(verified["arch_id"], exact, strict=True)]
        return {f"{name}{end}": values for end in ends}
    return {f"{name}{end}": verified[column] for end, column in zip(ends, columns, strict=True)}


def _validation_intervals(results: RunResults, verified: pd.DataFrame) -> dict[str, list[float]]:
    """Return the ends of the 95 % interval of top-1 on the validation images, on which samples are judged too.

    Without samples nobody tells how many they are: then both ends are the value.
    """
    if not len(results.samples):
        return {"top1_low": list(verified["val_top1"]), "top1_high": list(verified["val_top1"])}
    num = int(results.samples["num_images"].max())
    ends = [wilson_interval(top1, num) for top1 in verified["val_top1"]]
    return {"top1_low": [low for low, _ in ends], "top1_high": [high for _, high in ends]}


def _limits_on(device: str, front: ParetoFront, latency: str) -> dict[str, float]:
    """Return the limits that hold on `device`, by the names of figures; that of its own latency is of `latency`.

    Files of before schema 2 may not tell of which device a latency is: then it is another's.
    """
    devices = {latency: None, **{table.name: table.device for table in front.tables}}
    return {
        latency if limit.name in devices else limit.name: limit.bound
        for limit in front.limits
        if devices.get(limit.name, device) == device
    }


def _name(results: RunResults, table: LatencyTable | None, *, has_runs: bool) -> str:
    device = table.device if table else ""
    if not has_runs:
        return device or results.name
    return f"{results.name} on {device}" if device else results.name
