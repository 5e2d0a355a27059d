"""What a reader takes away at a glance: the lead sentences, the tiles, and where the run comes from."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofa_hw import __version__
from ofa_hw.lut import LatencyTable
from ofa_hw.report.fronts import is_level
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import count, milliseconds, percent, points, seconds
from ofa_hw.run import Command

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """One number that stands out, with what it says; `run` names its run where there are several."""

    title: str
    value: str
    note: str
    run: str = ""


def lead_of(runs: Sequence[RunResults]) -> list[str]:
    """Return the sentences that tell the result: of each run its own, then what they are taken from."""
    lines = []
    for one in runs:
        by_device = (
            list(one.verified.groupby("device", sort=False)) if "device" in one.verified else [("", one.verified)]
        )
        for device, nets in by_device:
            where = f"on {device}" if len(by_device) > 1 else ""
            where = f"{one.name} {where}".strip() if len(runs) > 1 else where.replace("on ", "On ", 1)
            if len(nets):
                lines.append(f"{where}: {_result_of(nets)}" if where else _result_of(nets))
    spaces = {one.space.name: count(one.space.num_archs) for one in runs}
    return lines + [
        f"One supernet, trained once, holds {number} networks of the space {name}." for name, number in spaces.items()
    ]


def _result_of(nets: pd.DataFrame) -> str:
    best, fastest = nets.loc[nets["test_top1"].idxmax()], nets.loc[nets["measured_latency_ms"].idxmin()]
    level = _level_with_best(nets)
    text = (
        f"The most accurate of {len(nets)} networks that were taken out of it classifies "
        f"{percent(best['test_top1'])} of the test images rightly, in {milliseconds(best['measured_latency_ms'])} ms"
    )
    if best["arch_id"] == fastest["arch_id"]:
        return f"{text}{_level_in_words(len(level), also='')}."
    speedup = best["measured_latency_ms"] / fastest["measured_latency_ms"]
    quicker = f"{speedup:.1f} times as fast, in {milliseconds(fastest['measured_latency_ms'])} ms"
    if fastest["arch_id"] in level:
        also = f", the fastest among them, {quicker}" if len(level) > 1 else f" and {quicker}"
        return f"{text}{_level_in_words(len(level), also=also)}. Both were measured, whole, on the device."
    cost = best["test_top1"] - fastest["test_top1"]
    return (
        f"{text}{_level_in_words(len(level), also='')}; the fastest is {quicker}, for {100 * cost:.1f} points less. "
        "Both were measured, whole, on the device."
    )


def _level_with_best(nets: pd.DataFrame) -> list[str]:
    """Return the arch_ids of those whose top-1 on the test images is below the best by no more than chance."""
    best = nets.loc[nets["test_top1"].idxmax()]
    return [
        net["arch_id"]
        for net in nets.to_dict("records")
        if net["arch_id"] != best["arch_id"]
        and is_level(best["test_top1"], net["test_top1"], int(net["num_test_images"]))
    ]


def _level_in_words(num: int, *, also: str) -> str:
    """Return how many others are level with the best, nothing where none is; `also` is said of them."""
    if not num:
        return ""
    return f"; {num} other{'s are' if num > 1 else ' is'} level with it within the 95 % interval{also}"


def tiles_of(runs: Sequence[RunResults]) -> list[Tile]:
    """Return the tiles for which the runs have the files, those of one title together."""
    tiles = [
        dataclasses.replace(tile, run=results.name if len(runs) > 1 else "")
        for results in runs
        for tile in _tiles_of(results)
    ]
    titles = list(dict.fromkeys(tile.title for tile in tiles))
    return sorted(tiles, key=lambda tile: titles.index(tile.title))


def _tiles_of(results: RunResults) -> list[Tile]:
    tiles = []
    nets = results.verified
    if len(nets):
        gain = (nets["test_top1"] - nets["test_top1_before"]).mean()
        errors = [(nets["predicted_top1"] - nets[name]).abs().mean() for name in ("test_top1_before", "val_top1")]
        best = nets.loc[nets["test_top1"].idxmax()]
        where = f" on {best['device']}" if "device" in nets and nets["device"].nunique() > 1 else ""
        num_level = len(_level_with_best(nets))
        ties = f"; {num_level} more level within the 95 % interval" if num_level else ""
        note = f"at {milliseconds(best['measured_latency_ms'])} ms, measured{where}{ties}"
        tiles.append(Tile(title="Best verified top-1", value=percent(best["test_top1"]), note=note))
        # All were judged by the same images: many networks do not make the mean more certain.
        is_tie = is_level(nets["test_top1"].mean(), nets["test_top1_before"].mean(), int(nets["num_test_images"].min()))
        note = f"points of top-1, mean of {len(nets)} networks"
        note = f"{points(gain)} {note}, within the 95 % interval" if is_tie else note
        tiles.append(Tile(title="Gain by fine-tuning", value="level" if is_tie else points(gain), note=note))
        note = f"points on test images, {100 * errors[1]:.1f} on validation images, before fine-tuning"
        tiles.append(Tile(title="Error of predicted top-1", value=f"{100 * errors[0]:.1f}", note=note))
    if len(results.whole_nets):
        errors = (results.whole_nets["predicted_ms"] / results.whole_nets["measured_ms"] - 1).abs()
        note = f"median of {len(errors)} whole networks, worst {percent(errors.max())}"
        tiles.append(Tile(title="Error of predicted latency", value=percent(errors.median()), note=note))
    if results.predictor:
        figures = results.predictor["figures"]
        note = f"Kendall tau on held-out subnets, of {figures['num_samples']}"
        tiles.append(Tile(title="Ranking of subnets", value=f"{figures['kendall_tau']:.2f}", note=note))
    if len(results.phases):
        num_phases = results.phases["index"].nunique()
        note = f"{num_phases} phase{'s' if num_phases > 1 else ''}, {results.phases['images'].max():,} images"
        tiles.append(Tile(title="Training", value=seconds(results.phases["seconds"].max()), note=note))
    return tiles


def provenance_of(results: RunResults) -> list[tuple[str, str]]:
    """Return how the run was made (config.toml, its space and schedule left out) and how its tables were measured."""
    facts: dict[str, Any] = {"run folder": str(results.path)}
    for section, settings in results.config.items():
        if section == "space":
            continue
        values = settings if isinstance(settings, dict) else {section: settings}
        facts |= {f"{section}: {name}": value for name, value in values.items()}
    tables = _tables_of(results)
    for lut in tables:
        of = "table" if len(tables) == 1 else f"table of {lut.device}"
        facts |= {f"{of}: {name}": value for name, value in _table_facts(lut).items()}
    versions = results.predictor.get("versions", {})
    if versions:
        facts["predictor: versions"] = [f"{package} {version}" for package, version in versions.items()]
    facts["report: versions"] = [f"ofa-hw {__version__}", f"Python {platform.python_version()}", *_installed()]
    return [(name.replace("_", " "), _told(value)) for name, value in facts.items() if not _holds_tables(value)]


def commands_of(results: RunResults) -> list[Command]:
    """Return the commands that made the files of the run and its latency tables, in the order in which they ended."""
    found = list(results.commands)
    for table in _tables_of(results):
        measured_at = max(row.measured_at for row in table.measurements)
        for name, ended_at in (("profile", measured_at), ("calibrate", table.notes.get("calibrated_at", measured_at))):
            command = table.notes.get(f"{name}_command")
            if command:
                found.append(Command(command=command, tool_version=table.tool_version, ended_at=ended_at))
    return sorted(found, key=lambda entry: entry.ended_at)


def _tables_of(results: RunResults) -> list[LatencyTable]:
    return [results.lut, *results.other_tables] if results.lut else []


def _table_facts(table: LatencyTable) -> dict[str, Any]:
    """Return what the head of a table tells, and when its rows were measured; its commands stand with the others'."""
    first, last = (function(row.measured_at for row in table.measurements) for function in (min, max))
    notes = {name: text for name, text in table.notes.items() if not name.endswith("_command")}
    made = {"measured at": first if first == last else f"{first} to {last}", "ofa-hw": table.tool_version}
    if "profile_command" not in table.notes:
        made["command"] = "was not kept"
    calibrated = f"by {table.calibration.num_fit} networks" if table.calibration else "none"
    return {**dataclasses.asdict(table.conditions), **made, "calibration": calibrated, **notes}


def _installed() -> list[str]:
    """Return the packages with their versions on which the figures of a report depend most."""
    found = []
    for package in ("torch", "numpy", "scikit-learn", "ai-edge-litert", "onnxruntime", "altair"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return found


def _holds_tables(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(entry, dict) for entry in value))


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
