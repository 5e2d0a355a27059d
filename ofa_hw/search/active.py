"""Which subnets to evaluate next, so that the predictor learns where the front is uncertain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.layout import GeneLayout
from ofa_hw.search.operators import neighbours
from ofa_hw.space import ArchConfig


def uncertain_archs(
    predictor: AccuracyPredictor, front: Sequence[ArchConfig], num: int, *, known: Iterable[ArchConfig] = ()
) -> list[ArchConfig]:
    """Return up to `num` networks that are on `front` or one change away from it, and not `known`.

    They are taken in turns: in each, every network of the front offers its most uncertain neighbour that it has not
    offered yet, and the most uncertain offers are taken first. So the choice spreads along the whole front.
    """
    space = predictor.space
    layout, on_front = GeneLayout.of_space(space), space.encode(front)
    taken = {row.tobytes() for row in space.encode(known)}
    ranked = []
    for row in on_front:
        around = np.concatenate([row[None], neighbours(layout, row[None])])
        around = around[[other.tobytes() not in taken for other in around]]
        if len(around):
            _, std = predictor.predict(around)
            order = np.argsort(-std, kind="stable")
            ranked.append((around[order], std[order]))
    chosen: dict[bytes, np.ndarray[tuple[int], np.dtype[np.int8]]] = {}
    for turn in range(max((len(rows) for rows, _ in ranked), default=0)):
        of_turn = [(std[turn], rows[turn]) for rows, std in ranked if turn < len(rows)]
        for _, row in sorted(of_turn, key=lambda pair: -pair[0]):
            if len(chosen) < num:
                # Two networks of the front may offer the same neighbour.
                chosen.setdefault(row.tobytes(), row)
    return space.decode(np.stack(list(chosen.values()))) if chosen else []
