"""Every fault of a space, each by its name, before anything is built from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ofa_hw.space.stage import ACTIVATIONS, FIXED_KERNEL_KINDS, STAGE_KINDS, UNEXPANDED_KINDS, StageSpec

if TYPE_CHECKING:
    from ofa_hw.space.search_space import SearchSpace


def find_faults(space: SearchSpace) -> list[str]:
    """Return in words what of `space` cannot be built; nothing where all can."""
    faults = [*_faults_of_choices(space), *_faults_of_widths(space)]
    name: Any = space.name
    if not isinstance(name, str) or not name:
        faults.append(f"name must be a text, came {space.name!r}")
    for index, stage in enumerate(space.stages):
        faults += [f"stage {index}: {fault}" for fault in _faults_of_stage(space, stage)]
    if not space.stages:
        faults.append("there must be at least one stage")
    if not faults:
        total_stride = math.prod(stage.stride for stage in space.stages) * (
            space.stem_stride if space.stem_channels else 1
        )
        if space.resolutions[0] < total_stride:
            faults.append(f"resolutions must be at least the total stride {total_stride}, came {space.resolutions[0]}")
    return faults


def _faults_of_choices(space: SearchSpace) -> list[str]:
    faults = []
    for field in ("resolutions", "kernel_sizes", "expand_ratios", "depths"):
        faults += _faults_of_field(field, getattr(space, field))
    if space.width_ratios != ():
        faults += _faults_of_field("width_ratios", space.width_ratios)
    return faults


def _faults_of_field(field: str, values: Any) -> list[str]:
    kinds = int | float if field in ("expand_ratios", "width_ratios") else int
    if not _rises(values, kinds):
        return [f"{field} must hold positive {_NUMBERS[kinds]} that rise and do not repeat, came {values}"]
    if field == "kernel_sizes" and any(k % 2 == 0 for k in values):
        return [f"kernel_sizes must be odd, came {values}"]
    return []


_NUMBERS = {int: "whole numbers", int | float: "numbers"}


def _rises(values: Any, kinds: Any) -> bool:
    """Whether `values` are a tuple of one or more positive numbers of `kinds`, from small to large."""
    if not isinstance(values, tuple) or not values:
        return False
    if not all(isinstance(v, kinds) and not isinstance(v, bool) and 0 < v < math.inf for v in values):
        return False
    return list(values) == sorted(set(values))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _faults_of_widths(space: SearchSpace) -> list[str]:
    faults = []
    least = {"in_channels": 1, "num_classes": 1, "stem_channels": 0, "first_channels": 0}
    for field, lowest in {**least, "head_channels": 0, "head_expand_channels": 0}.items():
        if not _is_whole(getattr(space, field), lowest):
            faults.append(f"{field} must be a whole number from {lowest}, came {getattr(space, field)}")
    for outer, inner in (("stem_channels", "first_channels"), ("head_channels", "head_expand_channels")):
        if getattr(space, outer) == 0 and getattr(space, inner) != 0:
            faults.append(f"{inner} must be 0 where {outer} is, came {getattr(space, inner)}")
    for field in ("stem_activation", "first_activation", "head_activation"):
        if getattr(space, field) not in ACTIVATIONS:
            faults.append(f"{field} must be one of {', '.join(ACTIVATIONS)}, came {getattr(space, field)!r}")
    if not _is_whole(space.stem_stride, 1) or space.stem_stride > 2:
        faults.append(f"stem_stride must be 1 or 2, came {space.stem_stride}")
    for field in ("width_mult", "bn_eps", "bn_momentum"):
        if not _rises((getattr(space, field),), int | float):
            faults.append(f"{field} must be above 0, came {getattr(space, field)}")
    return faults


def _faults_of_stage(space: SearchSpace, stage: StageSpec) -> list[str]:
    faults = []
    if stage.activation not in ACTIVATIONS:
        faults.append(f"activation must be one of {', '.join(ACTIVATIONS)}, came {stage.activation!r}")
    if not _is_whole(stage.stride, 1) or stage.stride > 2:
        faults.append(f"stride must be 1 or 2, came {stage.stride}")
    if not _is_whole(stage.out_channels, 1):
        faults.append(f"out_channels must be a whole number from 1, came {stage.out_channels}")
    use_se: Any = stage.use_se
    if not isinstance(use_se, bool):
        faults.append(f"use_se must be true or false, came {stage.use_se!r}")
    for field in ("depths", "kernel_sizes", "expand_ratios"):
        if getattr(stage, field) is not None:
            faults += _faults_of_field(field, getattr(stage, field))
    if stage.kind not in STAGE_KINDS:
        return [*faults, f"kind must be one of {', '.join(STAGE_KINDS)}, came {stage.kind!r}"]
    return faults + _faults_of_kind(space, stage)


def _faults_of_kind(space: SearchSpace, stage: StageSpec) -> list[str]:
    faults = []
    kernel_sizes = space.kernel_sizes if stage.kernel_sizes is None else stage.kernel_sizes
    if stage.kind in FIXED_KERNEL_KINDS and isinstance(kernel_sizes, tuple) and len(kernel_sizes) > 1:
        faults.append(f"kernel_sizes of a {stage.kind} must be a single one, came {kernel_sizes}")
    if stage.kind in UNEXPANDED_KINDS and stage.expand_ratios not in (None, (1,)):
        faults.append(f"expand_ratios of a {stage.kind} must be [1] or left out, came {stage.expand_ratios}")
    if stage.kind != "mbconv" and stage.use_se:
        faults.append(f"use_se must be false in a {stage.kind}")
    if stage.kind == "conv_pool" and stage.activation == "h_swish":
        faults.append("activation of a conv_pool must be relu or relu6: its pooling pads with zeros")
    return faults
