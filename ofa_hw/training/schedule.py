"""A schedule is data: phases, each with the choices it opens and the images it sees (arXiv 1908.09791, section 3.2)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one cosine of the learning rate.

    Of every choice the `num_kernel_sizes`, `num_depths`, `num_expand_ratios` largest are open. Each step draws one
    resolution and `num_subnets` open architectures, whose gradients are summed; with `sandwich` the smallest open one
    is always the first of them. `num_images` are drawn in all, each counted once a step. `sort_stage` is given to
    `Supernet.sort_channels` before the first step (None: not sorted). `distill_weight` is the weight of the soft
    cross-entropy against the largest network, beside the labels' own.

    Raises:
        InvalidInputError: a value is outside its range.
    """

    name: str
    num_images: int
    learning_rate: float
    num_kernel_sizes: int = 1
    num_depths: int = 1
    num_expand_ratios: int = 1
    num_subnets: int = 1
    sandwich: bool = False
    warmup_fraction: float = 0.0
    sort_stage: int | None = None
    distill_weight: float = 0.0

    def __post_init__(self) -> None:
        for field in ("num_images", "num_kernel_sizes", "num_depths", "num_expand_ratios", "num_subnets"):
            if getattr(self, field) < 1:
                raise InvalidInputError(f"phase {self.name!r}: {field} must be 1 or more; came {getattr(self, field)}")
        if not 0 < self.learning_rate < math.inf:
            raise InvalidInputError(f"phase {self.name!r}: learning_rate must be above 0; came {self.learning_rate}")
        if not 0 <= self.warmup_fraction < 1:
            raise InvalidInputError(
                f"phase {self.name!r}: warmup_fraction must be in [0, 1); came {self.warmup_fraction}"
            )
        if self.distill_weight < 0:
            raise InvalidInputError(
                f"phase {self.name!r}: distill_weight must be 0 or more; came {self.distill_weight}"
            )

    def num_steps(self, batch_size: int) -> int:
        """Return the number of steps of `batch_size` images."""
        return max(1, round(self.num_images / batch_size))

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """Return the learning rate of a step: a linear warm-up, then half a cosine down to 0."""
        warmup = round(self.warmup_fraction * num_steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (num_steps - warmup)))

    def open_space(self, space: SearchSpace) -> SearchSpace:
        """Return the part of `space` that this phase trains."""
        stages = tuple(
            dataclasses.replace(stage, depths=space.stage_depths(index)[-self.num_depths :])
            for index, stage in enumerate(space.stages)
        )
        return dataclasses.replace(
            space,
            kernel_sizes=space.kernel_sizes[-self.num_kernel_sizes :],
            expand_ratios=space.expand_ratios[-self.num_expand_ratios :],
            stages=stages,
        )

    def draw(self, opened: SearchSpace, rng: np.random.Generator) -> list[ArchConfig]:
        """Return the architectures of one step, all of one resolution, from the space that this phase opened."""
        resolution = opened.resolutions[rng.integers(len(opened.resolutions))]
        archs = opened.sample(self.num_subnets, rng)
        if self.sandwich:
            archs[0] = opened.smallest
        return [dataclasses.replace(arch, resolution=resolution) for arch in archs]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Share:
    """A phase's part of the whole budget."""

    name: str
    share: float
    rate: float
    opened: Callable[[SearchSpace], dict[str, int]]
    num_subnets: int
    sort_stage: int | None = None


def phases_from_dicts(rows: Sequence[dict[str, Any]]) -> tuple[Phase, ...]:
    """Return the phases that `dataclasses.asdict` or a TOML file wrote.

    Raises:
        InvalidInputError: a key is unknown or missing, or there is no phase.
    """
    if not rows:
        raise InvalidInputError("a schedule must have at least one phase")
    try:
        return tuple(Phase(**row) for row in rows)
    except TypeError as error:
        names = ", ".join(field.name for field in dataclasses.fields(Phase))
        raise InvalidInputError(f"a phase must have the keys {names} ({error})") from error


def progressive_shrinking(
    space: SearchSpace,
    *,
    num_images: int,
    learning_rate: float = 0.2,
    largest_share: float = 0.26,
    later_rate: float = 0.5,
    distill_weight: float = 1.0,
    sandwich: bool = False,
    num_subnets: int = 2,
) -> tuple[Phase, ...]:
    """Return largest, kernel, depth, width: every further choice opens one by one, as in table 1 of the paper."""
    later = learning_rate * later_rate
    ks, ds, es = (
        len(space.kernel_sizes),
        max(len(space.stage_depths(i)) for i in range(len(space.stages))),
        len(space.expand_ratios),
    )
    rest = 1 - largest_share
    plan = [("kernel", 0.08 / 0.74, ks, 1, 1, 1, None)]
    for i in range(2, ds + 1):
        plan.append((f"depth-{i - 1}", (0.05 if i < ds else 0.13) / 0.74, ks, i, 1, 1, None))
    for i in range(2, es + 1):
        plan.append((f"width-{i - 1}", (0.13 if i < es else 0.35) / 0.74, ks, ds, i, num_subnets, i - 2))
    total = sum(p[1] for p in plan)
    phases = [
        Phase(
            name="largest",
            num_images=round(num_images * largest_share),
            learning_rate=learning_rate,
            warmup_fraction=0.1,
        )
    ]
    for name, share, k, d, e, n, srt in plan:
        phases.append(
            Phase(
                name=name,
                num_images=round(num_images * rest * share / total),
                learning_rate=later,
                num_kernel_sizes=k,
                num_depths=d,
                num_expand_ratios=e,
                num_subnets=n,
                sort_stage=srt,
                distill_weight=distill_weight,
                sandwich=sandwich and n > 1,
                warmup_fraction=0.05,
            )
        )
    return tuple(phases)
