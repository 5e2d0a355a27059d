"""`Metric`: a number with a name, a unit and a direction, which can be shown and compared."""

from __future__ import annotations

import dataclasses
import math

from ofa_hw.errors import InvalidInputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessTimes:
    """For each process of a run the median `ms`, and the median of `ratios` to the reference model in the same rounds.

    Raises:
        InvalidInputError: a time is not finite and above 0, or the processes are not the same.
    """

    ms: tuple[float, ...]
    ratios: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.ms or len(self.ms) != len(self.ratios):
            raise InvalidInputError(
                f"every process must have a time and a ratio; came {len(self.ms)} and {len(self.ratios)}"
            )
        for value in (*self.ms, *self.ratios):
            if not (math.isfinite(value) and value > 0):
                raise InvalidInputError(f"times must be finite and above 0; came {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """One number of a run or of a suite; `name` stays the same from one to the next.

    `num` is the number of networks or samples that it comes from, `times` the results of single processes if `runtime`
    timed it, `marks` are words that warn of it.

    Raises:
        InvalidInputError: the value is not finite.
    """

    name: str
    title: str
    value: float
    unit: str
    smaller_is_better: bool
    num: int = 1
    runtime: str = ""
    marks: str = ""
    times: ProcessTimes | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidInputError(f"the figure {self.name!r} must be finite; came {self.value}")
