"""Every fault of a space, found before anything is built from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ofa_hw.families import ACTIVATIONS, Choice, Family, get_family, list_families
from ofa_hw.families.choice import EXPAND_RATIO, KERNEL_SIZE, rises
from ofa_hw.space.stage import StageSpec

if TYPE_CHECKING:
    from ofa_hw.space.search_space import SearchSpace

MAX_CHOICES = 127
"""Genes, and the numbers of choices that they are checked against, are int8."""

_WHOLE, _REAL = {"numbers": int}, {"numbers": int | float}


def find_faults(space: SearchSpace) -> list[str]:
    """Return what is wrong with `space`, a sentence for each fault; [] where nothing is."""
    faults = [*_faults_of_choices(space), *_faults_of_widths(space)]
    # Types may be wrong here: a TOML file can hold anything.
    name: Any = space.name
    if not isinstance(name, str) or not name:
        faults.append(f"name must be a text, came {space.name!r}")
    for index, stage in enumerate(space.stages):
        faults += [f"stage {index}: {fault}" for fault in _faults_of_stage(space, stage)]
    if space.head_kind not in list_families():
        faults.append(f"head_kind must be one of {', '.join(list_families())}, came {space.head_kind!r}")
    if space.padding not in ("half", "same"):
        faults.append(f"padding must be half or same, came {space.padding!r}")
    if not space.stages:
        faults.append("there must be at least one stage")
    if not faults:
        # Only where all else is sound, since strides of another type cannot be multiplied.
        total_stride = math.prod(stage.stride for stage in space.stages) * (
            space.stem_stride if space.stem_channels else 1
        )
        if space.resolutions[0] < total_stride:
            faults.append(f"resolutions must be at least the total stride {total_stride}, came {space.resolutions[0]}")
    return faults


def _faults_of_choices(space: SearchSpace) -> list[str]:
    faults = [
        *_faults_of_list("resolutions", space.resolutions, **_WHOLE),
        *_faults_of_list("depths", space.depths, **_WHOLE),
        *KERNEL_SIZE.faults(space.kernel_sizes),
        *EXPAND_RATIO.faults(space.expand_ratios),
    ]
    if space.width_ratios != ():
        faults += _faults_of_list("width_ratios", space.width_ratios, **_REAL)
    return faults


def _faults_of_list(field: str, values: Any, *, numbers: Any) -> list[str]:
    if not rises(values, numbers):
        what = "whole numbers" if numbers is int else "numbers"
        return [f"{field} must hold positive {what} that rise and do not repeat, came {values}"]
    if len(values) > MAX_CHOICES:
        return [f"{field} must be at most {MAX_CHOICES}, came {len(values)}"]
    return []


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
        if not rises((getattr(space, field),), int | float):
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
    for field in ("use_se", "use_skip"):
        if not isinstance(getattr(stage, field), bool):
            faults.append(f"{field} must be true or false, came {getattr(stage, field)!r}")
    if stage.depths is not None:
        faults += _faults_of_list("depths", stage.depths, **_WHOLE)
    if stage.kind not in (kinds := tuple(name for name in list_families() if get_family(name).choices)):
        return [*faults, f"kind must be one of {', '.join(kinds)}, came {stage.kind!r}"]
    return faults + _faults_of_family(space, stage, get_family(stage.kind))


def _faults_of_family(space: SearchSpace, stage: StageSpec, family: Family) -> list[str]:
    faults = [fault for choice in family.choices for fault in _faults_of_choice(space, stage, family, choice)]
    known = {choice.plural for choice in family.choices}
    faults += [f"{plural} is no choice of a {family.name}" for plural, _ in stage.choices if plural not in known]
    if stage.use_se and not family.can_squeeze:
        faults.append(f"use_se must be false in a {family.name}")
    if stage.activation in ACTIVATIONS and stage.activation not in family.activations:
        faults.append(f"activation of a {family.name} must be {' or '.join(family.activations)}")
    if not faults:
        # A block with the stage's stride and one without may allow different values.
        values = {choice.name: space.values_of(stage, choice) for choice in family.choices}
        for stride in {1, stage.stride} if _is_whole(stage.stride, 1) else ():
            faults += family.faults(values, stride=stride)
    return faults


def _faults_of_choice(space: SearchSpace, stage: StageSpec, family: Family, choice: Choice) -> list[str]:
    listed: Any = stage.listed(choice.plural)
    if choice.fixed is not None:
        alone = (choice.fixed,)
        wrong = listed not in (None, alone)
        return [f"{choice.plural} of a {family.name} must be {list(alone)} or left out, came {listed}"] if wrong else []
    values: Any = space.values_of(stage, choice)
    if values == ():
        return [f"{choice.plural} of a {family.name} must be given"]
    faults = choice.faults(values) if listed is not None or choice.can_be_none else []
    if not faults and not choice.is_elastic and len(values) > 1:
        faults.append(f"{choice.plural} of a {family.name} must be a single one, came {values}")
    return faults + (
        [f"{choice.plural} must be at most {MAX_CHOICES}"] if not faults and len(values) > MAX_CHOICES else []
    )
