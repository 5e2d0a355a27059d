"""Regret: a network's latency on a device over the least that the device has for networks at least as accurate.

It tells what a device gives up when it shares a network with others, whichever device is the slower and wherever its
cliffs are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ofa_hw.arrays import FloatArray
from ofa_hw.cost import Direction, LutLatency, Objective, Source
from ofa_hw.errors import InvalidInputError
from ofa_hw.space import Genes

TOLERANCE = 1e-9
"""By how much top-1 may be off: a predictor answers to the last bits by what else is in its batch."""


class Regret:
    """What networks cost several devices, compared with the front of each device of its own.

    Let L_d(t) be the step function of device d: the least latency on its own front among networks with a top-1 of t or
    more, and that of its most accurate network where t is beyond them all. The regret of a network is its latency over
    L_d at its own top-1: 1 where the device itself could choose no better.

    Raises:
        InvalidInputError: there are no two devices, or a device has no front.
    """

    def __init__(self, top1: Objective, devices: Sequence[tuple[LutLatency, Genes]]) -> None:
        """Compare latencies with those of `devices`: each one's latency, and the genes (n, num_genes) of its front."""
        if len(devices) < 2 or not all(len(genes) for _, genes in devices):
            raise InvalidInputError("a regret needs two devices or more, each with a front of its own")
        self.top1, self.latencies = top1, tuple(latency for latency, _ in devices)
        self._steps = [_steps(top1, *device) for device in devices]

    def least_ms(self, top1: FloatArray) -> FloatArray:
        """Return the least latency (devices, n) that each device has for each of `top1` (n,)."""
        found = []
        for reached, least in self._steps:
            index = np.searchsorted(reached, top1 - TOLERANCE, side="left")
            found.append(least[np.minimum(index, len(least) - 1)])
        return np.stack(found)

    def worst(self, genes: Genes) -> tuple[FloatArray, FloatArray]:
        """Return the worst regret (n,) of each network over the devices, and what top-1 like its own takes (n,).

        That is the geometric mean over the devices of L_d, each relative to that of its most accurate network.
        """
        least = self.least_ms(self.top1.evaluate(genes))
        latency = np.stack([latency.evaluate(genes) for latency in self.latencies])
        most = np.array([steps[-1] for _, steps in self._steps])[:, None]
        return (latency / least).max(axis=0), np.exp(np.log(least / most).mean(axis=0))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WorstRegret:
    """The largest regret over the devices: 1.1 is a network that costs some device 10 % more than it need."""

    regret: Regret
    name: str = "worst_regret"
    unit: str = ""
    direction: Direction = "min"
    source: Source = "predicted"

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return the worst regret (n,)."""
        return self.regret.worst(genes)[0]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CommonLatency:
    """The worst regret times what top-1 like the network's takes: what a search for several devices minimises.

    The regret alone is no cost, for the most accurate network of all has none. As both factors count, a network gives
    way only to one that is at least as accurate and has less regret; between two steps of the devices' own fronts, the
    worst regret itself is what is minimised. Where devices differ by a factor alone, this is their latency, relative to
    that of the most accurate network.
    """

    regret: Regret
    name: str = "common_latency"
    unit: str = ""
    direction: Direction = "min"
    source: Source = "predicted"

    def evaluate(self, genes: Genes) -> FloatArray:
        """Return the common latency (n,): 1 is that of the most accurate networks, without regret."""
        worst, level = self.regret.worst(genes)
        return worst * level


def _steps(top1: Objective, latency: LutLatency, genes: Genes) -> tuple[FloatArray, FloatArray]:
    """Return the top-1 of a front, ascending, and for each the least latency of networks with as much or more."""
    reached, latency_ms = top1.evaluate(genes), latency.evaluate(genes)
    order = np.argsort(reached, kind="stable")
    least: FloatArray = np.minimum.accumulate(latency_ms[order][::-1])[::-1]
    return reached[order], least
