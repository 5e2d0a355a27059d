"""The vocabulary of measuring: the plan, the conditions of a run, its results, and what is timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.blocks import BlockSpec, block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import FoldedBlock, random_block
from ofa_hw.space import ArchConfig, SearchSpace

MAX_MS = 1e7
"""Nearly three hours: no block takes longer, so that a greater number is a mistake of unit or format."""

DTYPES = ("float32", "float16", "bfloat16", "int8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementPlan:
    """How to measure: under which conditions, how precisely, and for how long at most.

    `cpu_mask` is hexadecimal as taskset takes it (`0x2` is core 1); None leaves the choice to the device.
    In each of `num_processes` fresh processes a workload is timed until the half width of its median's 95 % interval is
    at most `target_relative_ci` of the median, and at least `min_runs` times over all processes. `max_seconds` bounds
    the whole run, opening and checking included; where it is short, fewer processes are begun. Rounds whose sentinel or
    whose typical workload is slower than usual by more than `tolerance` are repeated.

    Raises:
        InvalidInputError: a value is outside its range.
    """

    batch_size: int = 1
    dtype: str = "float32"
    num_threads: int = 1
    cpu_mask: str | None = None
    target_relative_ci: float = 0.01
    min_runs: int = 75
    max_seconds: float = 180.0
    num_processes: int = 3
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InvalidInputError(f"dtype must be one of {', '.join(DTYPES)}; came {self.dtype!r}")
        for field in ("batch_size", "num_threads", "min_runs", "num_processes"):
            if getattr(self, field) < 1:
                raise InvalidInputError(f"{field} must be 1 or more; came {getattr(self, field)}")
        for field in ("target_relative_ci", "max_seconds", "tolerance"):
            if not getattr(self, field) > 0:
                raise InvalidInputError(f"{field} must be above 0; came {getattr(self, field)}")
        if self.cpu_mask is not None:
            cores_of(self.cpu_mask)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConditions:
    """What a latency depends on beside the block; all rows of a table share one set of conditions.

    `governor` and `clocks` are what the machine reports, `unknown` where it reports nothing.
    """

    device: str
    runtime: str
    runtime_version: str
    dtype: str
    batch_size: int
    num_threads: int
    cpu_mask: str
    governor: str
    clocks: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """The distribution of a latency, in milliseconds for one execution of a batch.

    `median_ms` is the mean of the medians of the processes; `mad_ms` the median absolute deviation; `ci_low_ms` and
    `ci_high_ms` bound the 95 % interval of the median within processes; `process_spread` is the largest distance
    between medians of processes, as a fraction of the median. `marks` are words, separated by blanks, that warn of the
    row, such as `wide` (the interval is wider than was asked for), `contended`, `drift`, `launch-bound`. What a
    published table does not say is None.

    Raises:
        InvalidInputError: a latency is not finite and positive, or the values contradict each other.
    """

    conditions: RunConditions
    median_ms: float
    mad_ms: float | None
    p10_ms: float | None
    p90_ms: float | None
    ci_low_ms: float
    ci_high_ms: float
    num_runs: int
    process_spread: float | None
    method: str
    marks: str
    measured_at: str

    def __post_init__(self) -> None:
        for field in ("median_ms", "p10_ms", "p90_ms", "ci_low_ms", "ci_high_ms"):
            value = getattr(self, field)
            if not (value is None and field in ("p10_ms", "p90_ms")) and not 0 < value <= MAX_MS:
                raise InvalidInputError(f"{field} must be milliseconds above 0 and at most {MAX_MS:g}; came {value}")
        for field in ("mad_ms", "process_spread"):
            value = getattr(self, field)
            if value is not None and not 0 <= value <= MAX_MS:
                raise InvalidInputError(f"{field} must be finite and 0 or more; came {value}")
        for low, high in (("p10_ms", "p90_ms"), ("ci_low_ms", "median_ms"), ("median_ms", "ci_high_ms")):
            lower, upper = getattr(self, low), getattr(self, high)
            if None not in (lower, upper) and lower > upper:
                raise InvalidInputError(f"{low} must be at most {high}; came {lower} and {upper}")
        if self.num_runs < 1:
            raise InvalidInputError(f"num_runs must be 1 or more; came {self.num_runs}")

    @property
    def relative_ci(self) -> float:
        """Half the width of the interval, as a fraction of the median."""
        return (self.ci_high_ms - self.ci_low_ms) / 2 / self.median_ms


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement(Timing):
    """What one block takes."""

    block: BlockSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkMeasurement(Timing):
    """What the network of this `name` takes, the chain of the blocks `specs`."""

    name: str
    specs: tuple[BlockSpec, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file that somebody else made; `shapes` gives, by name, those of inputs that it leaves open.

    Raises:
        InvalidInputError: a shape is not of whole numbers above 0.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in self.shapes.items():
            if not shape or not all(type(size) is int and size > 0 for size in shape):
                raise InvalidInputError(
                    f"the shape of input {name!r} must be whole numbers above 0; came {list(shape)}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """Something to be timed under a name: a chain of blocks, one block or a whole network, or a model file.

    `blocks` are the weights of the chain; None stands for random ones, which take as long. A `file` has no `specs`.
    """

    name: str
    specs: tuple[BlockSpec, ...] = ()
    blocks: tuple[FoldedBlock, ...] | None = None
    file: ModelFile | None = None

    def __post_init__(self) -> None:
        assert bool(self.specs) != bool(self.file), "a workload is either a chain of blocks or a file"

    @classmethod
    def of_block(cls, spec: BlockSpec) -> Workload:
        """Return one block, named by its key."""
        return cls(name=spec.key, specs=(spec,))

    @classmethod
    def of_network(cls, space: SearchSpace, arch: ArchConfig) -> Workload:
        """Return the whole network of `arch` with random weights, named by its `arch_id`."""
        return cls(name=arch.arch_id, specs=block_specs(space, arch))

    def folded(self) -> tuple[FoldedBlock, ...]:
        """Return the weights of every block."""
        return self.blocks or tuple(random_block(spec) for spec in self.specs)


def random_input(spec: BlockSpec, *, batch_size: int = 1) -> npt.NDArray[np.float32]:
    """Return normal values for a block's input, BCHW; the same at every call."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch_size, spec.in_channels, spec.input_size, spec.input_size), np.float32)


def cores_of(cpu_mask: str) -> tuple[int, ...]:
    """Return the numbers of the cores in a hexadecimal mask; InvalidInputError where it is none."""
    try:
        bits = int(cpu_mask, 16)
    except ValueError:
        bits = 0
    if bits <= 0:
        raise InvalidInputError(
            f"cpu_mask must be a hexadecimal number above 0, such as 0x2 for core 1; came {cpu_mask!r}"
        )
    return tuple(core for core in range(bits.bit_length()) if bits >> core & 1)


def is_mask(text: str) -> bool:
    """Return whether `text` is the mask of cores, and not a word for what a device chose by itself."""
    try:
        cores_of(text)
    except InvalidInputError:
        return False
    return True


def mask_of(cores: tuple[int, ...]) -> str:
    """Return the hexadecimal mask of these cores."""
    return hex(sum(1 << core for core in cores))
