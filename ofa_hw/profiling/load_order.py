"""Workloads are built in another random order in each process.

Where a model lies in memory depends on when it is built. With the same order in all processes, the first networks of a
run were more than 1 % slower than the rest, and a calibration that was fitted to them was off by as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.profiling.measurement import MeasurementPlan, Workload
from ofa_hw.profiling.protocol import Profiler, Session, Times


def open_in_random_order(
    profiler: Profiler, workloads: Sequence[Workload], plan: MeasurementPlan, rng: np.random.Generator
) -> Session:
    """Return a session of `workloads`, built in random order but for the last, the sentinel; errors as of `open`."""
    order = [*rng.permutation(len(workloads) - 1), len(workloads) - 1]
    return _Reordered(profiler.open([workloads[index] for index in order], plan), np.argsort(order))


class _Reordered:
    """A session in which the workload with index i was built as number `places[i]`."""

    def __init__(self, session: Session, places: npt.NDArray[np.int64]) -> None:
        self._session, self._places = session, places.tolist()
        self.marks = tuple(session.marks[place] for place in self._places)

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        return self._session.run(self._places[index], x_BCHW)

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        return self._session.time([self._places[index] for index in order], repeats)

    def close(self) -> None:
        self._session.close()
