"""What a reader sees of a network when it is chosen: its facts and how to write it out."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_hw.blocks import num_macs, num_params
from ofa_hw.report.fronts import device_fronts, network_key, with_top1_interval
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import figure_cell, milliseconds
from ofa_hw.search.front import FrontColumn
from ofa_hw.space import ArchConfig, SearchSpace

_COUNTED = ("macs", "params")
"""What stands on every card, whether the front has it or not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """One network: what is known of it by name, its stages' channels, and the command that writes it out."""

    title: str
    arch: ArchConfig
    channels: tuple[int, ...]
    facts: dict[str, str]
    export_command: str

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values for the page."""
        facts = [[name, value] for name, value in self.facts.items()]
        described = {"title": self.title, "arch": self.arch.to_dict(), "channels": self.channels, "facts": facts}
        return described | {"export": self.export_command}


def network_cards(runs: Sequence[RunResults]) -> dict[str, NetworkCard]:
    """Return a card for every network of the runs, sampled, on a front or verified, by the key of `network_key`."""
    cards: dict[str, NetworkCard] = {}
    for index, results in enumerate(runs):
        for arch_id, card in _cards_of(results).items():
            cards[network_key(runs, index, arch_id)] = card
    for front in device_fronts(runs):
        for net in front.verified.to_dict("records"):
            card = cards[net["network"]]
            cards[net["network"]] = dataclasses.replace(card, title=f"Network {net['arch_id']}, verified")
    return cards


def _cards_of(results: RunResults) -> dict[str, NetworkCard]:
    cards: dict[str, NetworkCard] = {}
    for net in results.samples.to_dict("records"):
        facts = {"top-1, validation images, %": f"{100 * net['top1']:.1f}"}
        _add(cards, results, net, f"Subnet {net['arch_id']}", facts)
    for index, arch in enumerate(results.front.archs if results.front else ()):
        assert results.front is not None
        facts = {
            entry.title: _with_interval(entry, index) for entry in results.front.columns if entry.name not in _COUNTED
        }
        _add(cards, results, _named(arch), f"Network {arch.arch_id}", facts)
    for device, front in results.device_fronts.items():
        latency = front.column("latency")
        title = dataclasses.replace(latency, name=f"latency on {device}").title
        for index, arch in enumerate(front.archs):
            facts = {title: _with_interval(latency, index)}
            _add(cards, results, _named(arch), f"Network {arch.arch_id}", facts)
    for net in with_top1_interval(results.verified).to_dict("records"):
        low, high = 100 * net["test_top1_low"], 100 * net["test_top1_high"]
        fast, slow = (milliseconds(net[f"measured_latency_{end}_ms"]) for end in ("low", "high"))
        where = f" on {net['device']}" if "device" in net else ""
        facts = {
            "top-1, test images, %": f"{100 * net['test_top1']:.1f} ({low:.1f}–{high:.1f})",
            f"latency{where}, measured, ms": f"{milliseconds(net['measured_latency_ms'])} ({fast}–{slow})",
        }
        _add(cards, results, net, "", facts)
        if "exported_format" in net:
            card = cards[str(net["arch_id"])]
            export = card.export_command.replace("--format tflite", f"--format {net['exported_format']}")
            cards[str(net["arch_id"])] = dataclasses.replace(card, export_command=export)
    return cards


def _named(arch: ArchConfig) -> dict[str, str]:
    return {"arch_id": arch.arch_id, "arch": arch.to_json()}


def _with_interval(column: FrontColumn, index: int) -> str:
    """Return a value of the front with the ends of its 90 % interval, where the search knew them."""
    text = figure_cell(column, column.values[index])
    if column.low is None or column.high is None:
        return text
    low, high = (figure_cell(column, ends[index]).removesuffix(" %") for ends in (column.low, column.high))
    return f"{text} ({low}–{high})"


def _add(
    cards: dict[str, NetworkCard],
    results: RunResults,
    net: Mapping[Any, Any],
    title: str,
    facts: dict[str, str],
) -> None:
    """Add a card, or what is newly known to the card that is there."""
    space, arch_id = results.space, str(net["arch_id"])
    if arch_id in cards:
        card = cards[arch_id]
        arch = card.arch
    else:
        arch = ArchConfig.from_json(net["arch"])
        costs = {
            "input": f"{arch.resolution} × {arch.resolution} px",
            "MACs": f"{num_macs(space, arch):,}",
            "parameters": f"{num_params(space, arch):,}",
        }
        channels = _channels(space, arch)
        export = f"ofa-hw export --run {shlex.quote(str(results.path))} --pick {arch_id} --format tflite"
        card = NetworkCard(title=title, arch=arch, channels=channels, facts=costs, export_command=export)
    cards[arch_id] = dataclasses.replace(card, title=title, facts=card.facts | facts)


def _channels(space: SearchSpace, arch: ArchConfig) -> tuple[int, ...]:
    ratios = arch.width_ratios or (1.0,) * len(space.stages)
    return tuple(space.width(stage.out_channels, ratio) for stage, ratio in zip(space.stages, ratios, strict=True))
