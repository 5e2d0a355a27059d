"""What an adapter to a runtime must do: build workloads in a fresh process, and time them in a given order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MAX_MS, MeasurementPlan, RunConditions, Workload


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """What a `Session` timed: `ms` for one execution, for each entry of the order that it was given.

    `is_disturbed` says for each entry whether the operating system took the core away meanwhile.
    `others_load` is how many of the device's `num_cores` cores other processes kept busy, 0 where it is unknown.

    Raises:
        DeviceError: a time is no number of milliseconds above 0 and at most `MAX_MS`, or the load is no number of 0 or
            more.
    """

    ms: tuple[float, ...]
    is_disturbed: tuple[bool, ...]
    others_load: float = 0.0
    num_cores: int = 1

    def __post_init__(self) -> None:
        if len(self.ms) != len(self.is_disturbed):
            raise DeviceError(f"each time must tell whether it was disturbed; came {len(self.ms)} times")
        wrong = [value for value in self.ms if not (_is_number(value) and 0 < value <= MAX_MS)]
        if wrong:
            raise DeviceError(f"times must be milliseconds above 0 and at most {MAX_MS:g}; came {wrong[0]!r}")
        if not (_is_number(self.others_load) and 0 <= self.others_load < math.inf and self.num_cores >= 1):
            raise DeviceError(
                f"others_load must be a number of cores of 1 or more; came {self.others_load!r} of {self.num_cores!r}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Session(Protocol):
    """Workloads that are built and ready in one fresh process on the device."""

    marks: tuple[str, ...]
    """For each workload a word that warns of its times, or ""."""

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """Return the output of the workload with this index (BCHW, or logits); None where the runtime gives none."""
        ...

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        """Time workloads in `order`: one execution untimed, then as many as `repeats` says, timed together."""
        ...

    def close(self) -> None:
        """End the process and remove what was put on the device."""
        ...


class Profiler(Protocol):
    """One runtime on one device."""

    device: Device
    method: str
    """What is inside the clock, in a few words for the rows of a table."""
    model_suffixes: tuple[str, ...]
    """The suffixes of the model files that it opens, such as `.tflite`; () where it times only blocks."""

    def check(self) -> None:
        """Check that the device and its runtime answer now.

        Raises:
            MissingDependencyError: a package is missing; the message names the extra.
            DeviceError: the device does not answer; the message says what to do.
        """
        ...

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions under which `plan` is run on this device."""
        ...

    def state(self) -> Mapping[str, str]:
        """Return what the machine reports now: host, clocks, temperature, load, battery."""
        ...

    def capacity_bytes(self) -> float:
        """Return how many bytes of weights may be open at once; more are measured in several groups."""
        ...

    def open(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> Session:
        """Build `workloads` in a fresh process.

        Raises:
            DeviceError: the runtime cannot build one of them; the message names it.
        """
        ...
