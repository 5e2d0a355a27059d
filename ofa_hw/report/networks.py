"""What a reader sees of a network when it is chosen: its facts and how to write it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ofa_hw.blocks import num_macs, num_params
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import milliseconds
from ofa_hw.space import ArchConfig, SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """One network: what is known of it by name, and its place on the front from 1, None where it is not on it."""

    title: str
    arch: ArchConfig
    facts: dict[str, str]
    pick: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values for the page."""
        facts = [[name, value] for name, value in self.facts.items()]
        return {"title": self.title, "arch": self.arch.to_dict(), "facts": facts, "pick": self.pick}


def network_cards(results: RunResults) -> dict[str, NetworkCard]:
    """Return a card by arch_id for every network of the run: sampled, on the front, or verified."""
    cards: dict[str, NetworkCard] = {}
    for net in results.samples.to_dict("records"):
        facts = {"top-1, validation images, %": f"{100 * net['top1']:.1f}"}
        _add(cards, results.space, net["arch"], f"Subnet {net['arch_id']}", facts)
    for pick, net in enumerate(results.front.to_dict("records"), start=1):
        top1 = _with_interval(net, "predicted_top1", lambda value: f"{100 * value:.1f}")
        latency = _with_interval(net, "predicted_latency_ms", milliseconds)
        facts = {"top-1, predicted, %": top1, "latency, predicted, ms": latency}
        _add(cards, results.space, net["arch"], f"Network {net['arch_id']}", facts, pick=pick)
    for number, net in enumerate(results.verified.to_dict("records"), start=1):
        facts = {
            "top-1, test images, %": f"{100 * net['test_top1']:.1f}",
            "latency, measured, ms": milliseconds(net["measured_latency_ms"]),
        }
        _add(cards, results.space, net["arch"], f"Network {number}, verified", facts)
    return cards


def _with_interval(net: Mapping[Any, Any], column: str, told: Callable[[float], str]) -> str:
    """Return a predicted value with the ends of its 90 % interval, where the search knew them."""
    name, dot, unit = column.partition("_ms")
    low, high = (net.get(f"{name}_{end}{dot}{unit}") for end in ("low", "high"))
    value = told(net[column])
    return value if low is None or high is None else f"{value} ({told(low)}–{told(high)})"


def _add(
    cards: dict[str, NetworkCard],
    space: SearchSpace,
    arch_text: str,
    title: str,
    facts: dict[str, str],
    *,
    pick: int | None = None,
) -> None:
    arch = ArchConfig.from_json(arch_text)
    before = cards.get(arch.arch_id)
    costs = {
        "input": f"{arch.resolution} × {arch.resolution} px",
        "MACs": f"{num_macs(space, arch):,}",
        "parameters": f"{num_params(space, arch):,}",
    }
    cards[arch.arch_id] = NetworkCard(
        title=title,
        arch=arch,
        facts=(before.facts if before else costs) | facts,
        pick=pick or (before.pick if before else None),
    )
