"""Published recipes by their names: phases, rates, images and losses as a paper has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ofa_hw.space import SearchSpace
from ofa_hw.training.schedule import Phase

_BATCH_SIZE = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What training is told. `schedule` takes (space, num_train_images, epochs, batch_size); epochs None: all of them.

    Rates are those of `batch_size`, and rise and fall in proportion with another.
    """

    schedule: Callable[[SearchSpace, int, float | None, int], tuple[Phase, ...]]
    batch_size: int
    weight_decay: float
    label_smoothing: float
    max_grad_norm: float


def once_for_all(
    space: SearchSpace, num_train_images: int, epochs: float | None = None, batch_size: int = _BATCH_SIZE
) -> tuple[Phase, ...]:
    """Return the phases of arXiv 1908.09791, appendix and published code, as they are for its MobileNetV3 space.

    The largest network learns for 180 epochs, all kernel sizes for 125; each new depth, then each new expand ratio, for
    25, the last of each for 125. Of these 125 the first 5 warm up. With fewer `epochs` in all, each phase is shortened
    alike. Steps sum the gradients of 1 subnet, of 2 for depths, of 4 for ratios.
    """
    share = epochs / _num_epochs(space) if epochs else 1
    opened = {"num_kernel_sizes": 1, "num_depths": 1, "num_expand_ratios": 1, "num_width_ratios": 1}

    def phase(name: str, num_epochs: int, rate: float, *, warm_up: int = 0, num_subnets: int = 1) -> Phase:
        return Phase(
            name=name,
            num_images=max(1, round(num_epochs * share * num_train_images)),
            learning_rate=rate * batch_size / _BATCH_SIZE,
            num_subnets=num_subnets,
            warmup_fraction=warm_up / num_epochs,
            sort_stage=opened["num_expand_ratios"] - 2 if name.startswith("expand") else None,
            distill_weight=0.0 if name == "largest" else 1.0,
            num_kernel_sizes=opened["num_kernel_sizes"],
            num_depths=opened["num_depths"],
            num_expand_ratios=opened["num_expand_ratios"],
            num_width_ratios=opened["num_width_ratios"],
        )

    phases = [phase("largest", 180, 2.6)]
    for name, field, num, num_subnets in _openings(space):
        if name == "kernel":
            opened[field] = num
            phases.append(phase(name, 125, 0.96, warm_up=5))
            continue
        for count in range(2, num + 1):
            opened[field] = count
            num_epochs, rate, warm_up = (125, 0.24, 5) if count == num else (25, 0.08, 0)
            phases.append(phase(f"{name}-{count - 1}", num_epochs, rate, warm_up=warm_up, num_subnets=num_subnets))
    return tuple(phases)


def _openings(space: SearchSpace) -> list[tuple[str, str, int, int]]:
    """Return each choice that opens: its name, its field, how many values it has, the subnets of a step."""
    found = [
        ("kernel", "num_kernel_sizes", space.max_num_values(of_kernels=True), 1),
        ("depth", "num_depths", space.max_num_depths, 2),
        ("expand", "num_expand_ratios", space.max_num_values(of_kernels=False), 4),
        ("stage-width", "num_width_ratios", space.num_widths, 4),
    ]
    return [opening for opening in found if opening[2] > 1]


def _num_epochs(space: SearchSpace) -> int:
    """Return the epochs of all phases of `space`."""
    later = [125 if name == "kernel" else 25 * (num - 2) + 125 for name, _, num, _ in _openings(space)]
    return 180 + sum(later)


RECIPES = {
    "once-for-all": Recipe(
        schedule=once_for_all, batch_size=_BATCH_SIZE, weight_decay=3e-5, label_smoothing=0.1, max_grad_norm=0.0
    )
}
"""What `ofa-hw train --recipe` offers."""
