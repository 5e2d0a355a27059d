"""The trade-off on each device: what was sampled, predicted and verified there, under one name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofa_hw.lut import LatencyTable
from ofa_hw.report.results import RunResults
from ofa_hw.space import ArchConfig

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceFront:
    """One run on one device; every table has a column `network`, the key under which the page knows a network.

    `samples` and `front` have latency_ms and top1, as in `RunResults`; `verified` are VERIFIED_COLUMNS with the ends
    test_top1_low and test_top1_high of the 95 % interval and a `number` that counts through all fronts.
    `max_latency_ms` is the budget of the search, None where it had none.
    """

    name: str
    samples: pd.DataFrame
    front: pd.DataFrame
    verified: pd.DataFrame
    max_latency_ms: float | None


def network_key(runs: Sequence[RunResults], run_index: int, arch_id: str) -> str:
    """Return the key of a network: its arch_id, behind the place of its run where there are several."""
    return arch_id if len(runs) == 1 else f"{run_index + 1}.{arch_id}"


def device_fronts(runs: Sequence[RunResults]) -> list[DeviceFront]:
    """Return a front for each run and, where it is told of further tables, for each of their devices."""
    fronts: list[DeviceFront] = []
    num_before = 0
    for index, results in enumerate(runs):
        devices = [results.lut, *results.other_tables] if results.lut else [None]
        for place, table in enumerate(devices):
            front = _front_on(results, table, is_first=not place)
            name = _name(results, table, has_runs=len(runs) > 1)
            keyed = {
                column: shown.assign(network=[network_key(runs, index, arch_id) for arch_id in shown["arch_id"]])
                for column, shown in front.items()
            }
            numbers = range(num_before + 1, num_before + 1 + len(keyed["verified"]))
            keyed["verified"] = keyed["verified"].assign(number=list(numbers))
            num_before += len(numbers)
            fronts.append(DeviceFront(name=name, **keyed, max_latency_ms=None if place else results.max_latency_ms))
    return fronts


def wilson_interval(fraction: float, num: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share that was found among `num` images (Wilson, 1927)."""
    from scipy.stats import binomtest

    ends = binomtest(round(fraction * num), num).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def with_top1_interval(verified: pd.DataFrame) -> pd.DataFrame:
    """Return `verified` with the ends of the 95 % interval of top-1, test_top1_low and test_top1_high."""
    shares = zip(verified["test_top1"], verified["num_test_images"], strict=True)
    ends = [wilson_interval(top1, int(num)) for top1, num in shares]
    return verified.assign(test_top1_low=[low for low, _ in ends], test_top1_high=[high for _, high in ends])


def _front_on(results: RunResults, table: LatencyTable | None, *, is_first: bool) -> dict[str, Any]:
    """Return the three tables of the run on the device of `table`.

    The front is the one that a search for many devices found for this device, else the run's own; a further table
    prices the networks of that anew and keeps those that are still on a front.
    """
    columns = {"predicted_latency_ms": "latency_ms"}
    found = results.device_fronts.get(table.device) if table else None
    front = (results.front if found is None else found).rename(columns=columns)
    front = front.assign(top1=front["predicted_top1"])
    samples, verified = results.samples.rename(columns=columns), with_top1_interval(results.verified)
    if is_first or table is None:
        return {"samples": samples, "front": front, "verified": verified}
    samples = samples.assign(latency_ms=_latencies(results, table, samples))
    if found is None:
        front = front.assign(latency_ms=_latencies(results, table, front))
        ordered = front.sort_values("latency_ms", kind="stable")
        front = ordered[ordered["top1"].cummax() <= ordered["top1"]].drop_duplicates("top1")
    return {"samples": samples, "front": front, "verified": verified.iloc[:0]}


def _latencies(results: RunResults, table: LatencyTable, networks: pd.DataFrame) -> Any:
    if not len(networks):
        return []
    return table.latency_ms(results.space, results.space.encode(map(ArchConfig.from_json, networks["arch"])))


def _name(results: RunResults, table: LatencyTable | None, *, has_runs: bool) -> str:
    device = table.device if table else ""
    if not has_runs:
        return device or results.name
    return f"{results.name} on {device}" if device else results.name
