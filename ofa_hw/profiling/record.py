"""What a process of a profile run has timed so far, which rounds of it count, and whether they are enough."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.profiling.measurement import MAX_MS
from ofa_hw.profiling.statistics import relative_half_width

MIN_SAMPLES = 3
"""The fewest samples of a workload that are worth a row."""


_MIN_FOR_LEVEL = 8
"""The fewest samples in a round from which a level is computed; of fewer it would be noise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """One round: workloads in the order in which they were timed, the sentinel among them more than once."""

    order: tuple[int, ...]
    ms: tuple[float, ...]
    is_disturbed: tuple[bool, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the round as plain values; `from_dict` reads them back."""
        disturbed = [place for place, is_so in enumerate(self.is_disturbed) if is_so]
        return {"order": list(self.order), "ms": list(self.ms), "disturbed": disturbed}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Round:
        """Return the round that `to_dict` wrote."""
        disturbed, order, ms = set(value["disturbed"]), tuple(value["order"]), tuple(value["ms"])
        if not order or len(order) != len(ms) or any(type(index) is not int or index < 0 for index in order):
            raise ValueError(f"a round must have a time for each of its order; came {len(ms)} for {len(order)}")
        if not all(isinstance(time, float | int) and 0 < time <= MAX_MS for time in ms):
            raise ValueError("times must be milliseconds above 0")
        return cls(
            order=order,
            ms=ms,
            is_disturbed=tuple(place in disturbed for place in range(len(order))),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """Rounds that were timed in one go, within `seconds`, while others kept `others_load` of `num_cores` cores busy.

    `spent_seconds` is the time since the process's last chunk or its start, opening and warming up included.
    """

    rounds: tuple[Round, ...]
    seconds: float
    others_load: float
    num_cores: int
    spent_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the chunk as JSON holds it."""
        rounds = [timed.to_dict() for timed in self.rounds]
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {"rounds": rounds}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Chunk:
        """Return the chunk that `to_dict` wrote; earlier journals had neither cores nor spent seconds."""
        return cls(
            rounds=tuple(Round.from_dict(timed) for timed in value["rounds"]),
            seconds=value["seconds"],
            others_load=value["others_load"],
            num_cores=value.get("num_cores", 1),
            spent_seconds=value.get("spent_seconds", value["seconds"]),
        )


class ProcessRecord:
    """The rounds of one process, for `num_workloads` workloads and the sentinel, whose index comes after theirs."""

    def __init__(self, num_workloads: int, *, tolerance: float) -> None:
        """Begin with no rounds; one counts where its sentinel is at most `tolerance` slower than usual."""
        self.num_workloads = num_workloads
        self.tolerance = tolerance
        self.rounds: list[Round] = []
        self._sentinels: list[float] = []
        self.seconds = 0.0
        self.spent_seconds = 0.0
        self.others_load_seconds = 0.0
        self.num_cores = 1
        self.budget_seconds = 0.0
        """The time for all workloads within which this process has done what it could."""

    def add(self, chunk: Chunk) -> None:
        """Add what was timed in one go."""
        self.rounds.extend(chunk.rounds)
        for timed in chunk.rounds:
            of_sentinel = np.array(timed.order) == self.num_workloads
            self._sentinels.append(float(np.median(np.array(timed.ms)[of_sentinel])))
        self.seconds += chunk.seconds
        self.spent_seconds += chunk.spent_seconds
        self.others_load_seconds += chunk.others_load * chunk.seconds
        self.num_cores = chunk.num_cores

    @property
    def others_load(self) -> float:
        """How many cores other processes kept busy on average."""
        return self.others_load_seconds / self.seconds if self.seconds else 0.0

    @property
    def is_contended(self) -> bool:
        """Whether other processes used so much of the device that times may be longer than on an idle one."""
        # An idle system keeps a fraction of each core busy with its own services.
        return self.others_load > 0.2 + 0.1 * self.num_cores or self.disturbed_fraction > 0.1

    @property
    def disturbed_fraction(self) -> float:
        """The fraction of all samples during which the core was taken away."""
        disturbed = [is_so for timed in self.rounds for is_so in timed.is_disturbed]
        return float(np.mean(disturbed)) if disturbed else 0.0

    def sentinels(self) -> FloatArray:
        """Return the sentinel's median in each round (num_rounds,), in milliseconds."""
        return np.array(self._sentinels)

    def levels(self) -> FloatArray:
        """Return how slow the machine was in each round (num_rounds,); 1 is as fast as in its fastest quarter.

        It is the median over the round's samples of time divided by the lower quartile of the same workload. The
        sentinel alone would not do: a small block lives in the core's caches and does not notice who competes for
        memory.
        """
        index, ms, number = self._flat()
        quick = np.array([np.quantile(times, 0.25) if len(times) else 1.0 for times in _split(index, ms, self._width)])
        ratios = _split(number, ms / quick[index], len(self.rounds))
        return np.array([np.median(of_round) if len(of_round) >= _MIN_FOR_LEVEL else 1.0 for of_round in ratios])

    def counted(self) -> npt.NDArray[np.bool_]:
        """Return whether each round counts (num_rounds,): its sentinel and level are near their lower quartiles."""
        if not self.rounds:
            return np.zeros(0, bool)
        sentinels, levels = self.sentinels(), self.levels()
        # Noise only ever adds time, so the lower quartile is a better norm than the median.
        is_near = sentinels <= np.quantile(sentinels, 0.25) * (1 + self.tolerance)
        return is_near & (levels <= np.quantile(levels, 0.25) * (1 + self.tolerance))

    def samples(self) -> tuple[list[FloatArray], list[bool]]:
        """Return each workload's samples in milliseconds, and whether ones that should not count had to be used.

        Used are undisturbed samples of rounds that count; where a workload has fewer than `MIN_SAMPLES`, all of its.
        """
        return self._samples(np.ones(len(self.rounds)))

    def ratios(self) -> list[FloatArray]:
        """Return each workload's samples divided by the sentinel's median in the same round."""
        return self._samples(self.sentinels())[0]

    def _samples(self, unit_ms: FloatArray) -> tuple[list[FloatArray], list[bool]]:
        """Return `samples`, those of each round in the unit of that round (num_rounds,)."""
        if not self.rounds:
            return [np.zeros(0)] * self.num_workloads, [False] * self.num_workloads
        index, ms, number = self._flat()
        ms = ms / unit_ms[number]
        is_clean = self.counted()[number] & ~np.concatenate([timed.is_disturbed for timed in self.rounds])
        every = _split(index, ms, self.num_workloads)
        clean = _split(index[is_clean], ms[is_clean], self.num_workloads)
        # Fewer may be all there are.
        is_short = [len(samples) < min(MIN_SAMPLES, len(every[i])) for i, samples in enumerate(clean)]
        return [every[i] if is_short[i] else clean[i] for i in range(self.num_workloads)], is_short

    def imprecise(self, *, min_samples: int, target_relative_ci: float) -> list[int]:
        """Return the workloads that have fewer samples, or a wider interval, than was asked for."""
        samples, is_short = self.samples()
        return [
            index
            for index in range(self.num_workloads)
            if is_short[index]
            or len(samples[index]) < max(min_samples, MIN_SAMPLES)
            or relative_half_width(samples[index]) > target_relative_ci
        ]

    def missing(self) -> list[int]:
        """Return the workloads with fewer than `MIN_SAMPLES` samples, whether these count or not."""
        orders = np.array([index for timed in self.rounds for index in timed.order], np.int64)
        counts = np.bincount(orders, minlength=self._width)
        return [index for index in range(self.num_workloads) if counts[index] < MIN_SAMPLES]

    @property
    def _width(self) -> int:
        return self.num_workloads + 1

    def _flat(self) -> tuple[npt.NDArray[np.int64], FloatArray, npt.NDArray[np.int64]]:
        """Return of every sample its workload, its time, and the number of its round."""
        lengths = [len(timed.order) for timed in self.rounds]
        return (
            np.concatenate([timed.order for timed in self.rounds]),
            np.concatenate([timed.ms for timed in self.rounds]),
            np.repeat(np.arange(len(self.rounds)), lengths),
        )

    def drift(self) -> float:
        """Return by what fraction the sentinel is slower in the last third of rounds than in the first; 0 below six."""
        sentinels = self.sentinels()[self.counted()]
        if len(sentinels) < 6:
            return 0.0
        third = len(sentinels) // 3
        return float(np.median(sentinels[-third:]) / np.median(sentinels[:third]) - 1)


def _split(index: npt.NDArray[np.int64], ms: FloatArray, num: int) -> list[FloatArray]:
    """Return the entries of `ms` for each index from 0 to `num` - 1, in their order."""
    by_index = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[by_index], np.arange(num + 1))
    return [ms[by_index[bounds[i] : bounds[i + 1]]] for i in range(num)]
