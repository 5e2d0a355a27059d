"""A schedule is data: phases, each with the choices it opens and the images it sees (arXiv 1908.09791, section 3.3)."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one cosine of the learning rate.

    Of each choice only the `num_kernel_sizes`, `num_depths`, `num_expand_ratios`, `num_width_ratios` largest values are
    open. Each step draws `num_subnets` architectures from them, whose gradients are summed; `num_spread` of them are
    spread evenly from the smallest to the largest, the others are uniform. They learn from the same images, each at
    another resolution until all resolutions are used. `num_images` are drawn in all; an image counts once a step,
    however many subnets see it. `sort_stage` is given to `Supernet.sort_channels` before the first step (None: not
    sorted). `distill_weight` is the weight of the cross-entropy with the outputs of the largest network, as it was when
    the first such phase began; the cross-entropy with the labels has weight 1.

    With `in_place` the first subnet of a step is the largest and the second the smallest open one, and the largest
    teaches the others, which then see no labels (the sandwich rule, arXiv 2003.11142, section 3).

    Raises:
        InvalidInputError: a value is outside its range.
    """

    name: str
    num_images: int
    learning_rate: float
    num_kernel_sizes: int = 1
    num_depths: int = 1
    num_expand_ratios: int = 1
    num_width_ratios: int = 1
    num_subnets: int = 1
    num_spread: int = 0
    warmup_fraction: float = 0.0
    sort_stage: int | None = None
    distill_weight: float = 0.0
    in_place: bool = False

    def __post_init__(self) -> None:
        choices = ("num_kernel_sizes", "num_depths", "num_expand_ratios", "num_width_ratios")
        for field in ("num_images", *choices, "num_subnets"):
            if getattr(self, field) < 1:
                raise InvalidInputError(f"phase {self.name!r}: {field} must be 1 or more; came {getattr(self, field)}")
        if not 0 <= self.num_spread <= self.num_subnets:
            raise InvalidInputError(
                f"phase {self.name!r}: num_spread must be 0 to {self.num_subnets}; came {self.num_spread}"
            )
        if self.in_place and (self.num_subnets < 2 or self.distill_weight):
            raise InvalidInputError(
                f"phase {self.name!r}: with in_place there must be 2 subnets or more and no other teacher"
            )
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
        """Return the learning rate of a step: a linear warm-up, then half a cosine towards 0."""
        warmup = round(self.warmup_fraction * num_steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (num_steps - warmup)))

    def open_space(self, space: SearchSpace) -> SearchSpace:
        """Return the part of `space` that this phase trains."""
        return space.with_largest(
            depths=self.num_depths,
            kernels=self.num_kernel_sizes,
            ratios=self.num_expand_ratios,
            width_ratios=self.num_width_ratios,
        )

    def draw(self, opened: SearchSpace, rng: np.random.Generator) -> list[ArchConfig]:
        """Return the architectures of one step, from the space that this phase opened."""
        resolutions = itertools.cycle(rng.permutation(opened.resolutions).tolist())
        uniform = opened.sample_genes(self.num_subnets - self.num_spread, rng)
        spread = opened.sample_spread_genes(self.num_spread, rng)
        archs = opened.decode(np.concatenate([uniform, spread]))
        if self.in_place:
            archs[:2] = [opened.largest, opened.smallest]
        return [dataclasses.replace(arch, resolution=next(resolutions)) for arch in archs]


def behind_largest(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Return `phases` without a first one that trains the largest network alone, for which others have cared."""
    first = phases[0]
    is_largest = {first.num_kernel_sizes, first.num_depths, first.num_expand_ratios, first.num_width_ratios} == {1}
    return tuple(phases[1:] if is_largest and len(phases) > 1 else phases)


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


LARGEST_SHARE = 0.28
"""The share of all images for the first phase, which trains the largest network alone."""
OPENING_SHARE = 0.02
"""The share for each phase between the first and the last; these only open a choice, which the last phase trains."""


def budget(num_train_images: int, epochs: float | None = None) -> int:
    """Return the number of images for all phases: `epochs` passes; by default 20, but at least 360,000 images."""
    return round(epochs * num_train_images) if epochs else max(20 * num_train_images, 360_000)


SHRINKING_EPOCHS = 80
"""With about this many passes or more, progressive shrinking is as good as opening all choices at once.

With a single pass it is 2 to 3 points behind (`docs/guides/strategy.md`); the paper gains 2.5 to 3.7 points in 600.
"""


def best_strategy(epochs: float) -> str:
    """Return the name of the best strategy for so many passes over the training images."""
    return "progressive-shrinking" if epochs >= SHRINKING_EPOCHS else "all-at-once"


def progressive_shrinking(
    space: SearchSpace, *, num_images: int, learning_rate: float = 0.3, distill_weight: float = 1.0
) -> tuple[Phase, ...]:
    """Return the phases of progressive shrinking: the largest network, then kernel sizes, depths, widths.

    Widths are those of the hidden channels, by expand ratio, then those of the stages where the space has them. All
    kernel sizes open in one phase; depths and widths open one value a phase, from large to small, and stay open. Hidden
    channels are sorted before a new width of them opens. With the few passes over the images that a small machine can
    afford, the phase in which everything is open must be the longest: the last one sees about two thirds of
    `num_images`.
    """
    opened = {"num_kernel_sizes": 1, "num_depths": 1, "num_expand_ratios": 1, "num_width_ratios": 1}
    steps: list[tuple[str, dict[str, int]]] = []
    for name, field, num in (
        ("kernel", "num_kernel_sizes", space.max_num_values(of_kernels=True)),
        ("depth", "num_depths", space.max_num_depths),
        ("width", "num_expand_ratios", space.max_num_values(of_kernels=False)),
        ("stage-width", "num_width_ratios", space.num_widths),
    ):
        # Kernels open all at once, as in the paper: a smaller kernel is a view of the larger one.
        for count in [num] if name == "kernel" and num > 1 else range(2, num + 1):
            opened = opened | {field: count}
            steps.append((name if name == "kernel" else f"{name}-{count - 1}", opened))
    shares = [OPENING_SHARE] * len(steps)
    if shares:
        shares[-1] = 1 - LARGEST_SHARE - sum(shares[:-1])
    largest = Phase(
        name="largest",
        num_images=max(1, round(num_images * (LARGEST_SHARE if steps else 1))),
        learning_rate=learning_rate,
        warmup_fraction=0.1,
    )
    later = [
        Phase(
            name=name,
            num_images=max(1, round(num_images * share)),
            learning_rate=learning_rate if index + 1 == len(steps) else learning_rate / 2,
            num_subnets=2 if "width" in name else 1,
            num_spread=1 if "width" in name else 0,
            warmup_fraction=0.02,
            # The widths trained already: of the open ones neither the largest nor the one that opens now counts.
            sort_stage=choices["num_expand_ratios"] - 2 if name.startswith("width") else None,
            distill_weight=distill_weight,
            num_kernel_sizes=choices["num_kernel_sizes"],
            num_depths=choices["num_depths"],
            num_expand_ratios=choices["num_expand_ratios"],
            num_width_ratios=choices["num_width_ratios"],
        )
        for index, ((name, choices), share) in enumerate(zip(steps, shares, strict=True))
    ]
    return (largest, *later)


def all_at_once(
    space: SearchSpace, *, num_images: int, learning_rate: float = 0.3, in_place: bool = False
) -> tuple[Phase, ...]:
    """Return a single phase in which every choice is open from the start.

    With `in_place` it is the sandwich rule: largest, smallest and two others in each step, taught by the largest; else
    two subnets in each step learn from the labels alone, as they do in the last phase of progressive shrinking.
    """
    return (
        Phase(
            name="sandwich" if in_place else "all-at-once",
            num_images=num_images,
            learning_rate=learning_rate,
            num_kernel_sizes=space.max_num_values(of_kernels=True),
            num_depths=space.max_num_depths,
            num_expand_ratios=space.max_num_values(of_kernels=False),
            num_width_ratios=space.num_widths,
            num_subnets=4 if in_place else 2,
            num_spread=1,
            warmup_fraction=0.05,
            in_place=in_place,
        ),
    )


STRATEGIES: dict[str, Callable[..., tuple[Phase, ...]]] = {
    "progressive-shrinking": progressive_shrinking,
    "all-at-once": all_at_once,
    "sandwich": functools.partial(all_at_once, in_place=True),
}
"""What `ofa-hw train --strategy` offers: (space, num_images=, learning_rate=) to phases."""
