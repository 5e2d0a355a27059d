"""What a reader sees of a network when it is chosen: its facts and how to write it out."""

from __future__ import annotations

import dataclasses
from typing import Any

from ofa_hw.blocks import num_macs, num_params
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import milliseconds, percent
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
        facts = {"top-1, validation images": percent(net["top1"])}
        _add(cards, results.space, net["arch"], f"Subnet {net['arch_id']}", facts)
    for pick, net in enumerate(results.front.to_dict("records"), start=1):
        facts = {
            "top-1, predicted": percent(net["predicted_top1"]),
            "latency, predicted": f"{milliseconds(net['predicted_latency_ms'])} ms",
        }
        _add(cards, results.space, net["arch"], f"Network {net['arch_id']}", facts, pick=pick)
    for number, net in enumerate(results.verified.to_dict("records"), start=1):
        facts = {
            "top-1, test images": percent(net["test_top1"]),
            "latency, measured": f"{milliseconds(net['measured_latency_ms'])} ms",
        }
        _add(cards, results.space, net["arch"], f"Network {number}, verified", facts)
    return cards


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
