"""`ArchConfig`: what was chosen from a space, for the whole network, for each stage and for each block."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ofa_hw.errors import InvalidInputError
from ofa_hw.files import parse_json


class BlockChoice(Mapping[str, float]):
    """What is chosen for one block: a mapping from the names of its family's choices to values, also as attributes.

    Immutable and hashable; two are equal where their names and values are.
    """

    __slots__ = ("_values",)
    _values: dict[str, float]

    def __init__(self, **values: float) -> None:
        """Choose `values`; whole ratios are kept as int, so that equal choices have equal JSON."""
        # Past our own __setattr__, which refuses every change.
        object.__setattr__(self, "_values", {name: plain_ratio(value) for name, value in values.items()})

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __getattr__(self, name: str) -> float:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no choice {name!r}; there are {', '.join(self._values)}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a choice cannot be changed; make another")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockChoice) and self._values == other._values

    def __repr__(self) -> str:
        return f"BlockChoice({', '.join(f'{name}={value}' for name, value in self._values.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        # copy and worker processes would otherwise set `_values` by __setattr__, which refuses.
        return _choice_of, (self._values,)


def _choice_of(values: Mapping[str, float]) -> BlockChoice:
    return BlockChoice(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchConfig:
    """One subnet: its input size in pixels and the active blocks of each stage, whose number is the stage's depth.

    `width_ratios` holds the part of each stage's channels that is used; it is empty where the space has no such choice.
    """

    resolution: int
    stages: tuple[tuple[BlockChoice, ...], ...]
    width_ratios: tuple[float, ...] = ()

    @property
    def depths(self) -> tuple[int, ...]:
        """The number of active blocks of each stage."""
        return tuple(len(stage) for stage in self.stages)

    @functools.cached_property
    def arch_id(self) -> str:
        """Twelve hex digits that are equal only for equal architectures, on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return the architecture as plain values; `from_dict` reads them back."""
        # For each stage and choice a list, with an entry for each active block.
        stages: list[dict[str, Any]] = [
            {name: [block[name] for block in stage] for name in stage[0]} for stage in self.stages
        ]
        if self.width_ratios:
            stages = [
                {"width_ratio": plain_ratio(ratio), **stage}
                for ratio, stage in zip(self.width_ratios, stages, strict=True)
            ]
        return {"resolution": self.resolution, "stages": stages}

    @classmethod
    def from_dict(cls, value: Any) -> ArchConfig:
        """Return the architecture that `to_dict` wrote.

        Raises:
            InvalidInputError: `value` has another form.
        """
        try:
            stages = tuple(_stage_from_dict(stage) for stage in value["stages"])
            has_widths = any("width_ratio" in stage for stage in value["stages"])
            widths = [plain_ratio(stage["width_ratio"]) for stage in value["stages"]] if has_widths else []
            return cls(resolution=whole(value["resolution"]), stages=stages, width_ratios=tuple(widths))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidInputError(
                'an architecture must look like {"resolution": 28, "stages": [{"kernel_size": [3, 5], '
                f'"expand_ratio": [2, 4]}}, ...]}}; came: {str(value)[:120]} ({error})'
            ) from error

    def to_json(self) -> str:
        """Return the architecture as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ArchConfig:
        """Return the architecture that `to_json` wrote; InvalidInputError where it is damaged."""
        try:
            value = parse_json(text)
        except InvalidInputError as error:
            raise InvalidInputError(f"an architecture {error}; came: {text[:80]!r}") from error
        return cls.from_dict(value)

    @classmethod
    def from_ofa(
        cls,
        *,
        e: Sequence[float],
        d: Sequence[int],
        resolution: int,
        ks: Sequence[int] | None = None,
        w: Sequence[int] | None = None,
    ) -> ArchConfig:
        """Return the architecture of once-for-all's flat lists, whose entries beyond a unit's depth are ignored.

        MobileNetV3 and ProxylessNAS have `ks`, and in `ks` and `e` the same number of positions for each unit of `d`.
        ProxylessNAS has one position more, its last unit of a single block; `d` may have an entry for that unit or not,
        since once-for-all writes both. ResNet50 has `w` instead of `ks`: 18 entries in `e`, 5 in `d` and 6
        in `w`.

        Raises:
            InvalidInputError: the lists do not fit each other, or an entry is none of once-for-all's.
        """
        from ofa_hw.space import once_for_all

        if w is None:
            return once_for_all.from_mobile_lists(ks=ks or (), e=e, d=d, resolution=resolution)
        return once_for_all.from_resnet_lists(e=e, d=d, w=w, resolution=resolution)

    def to_ofa(self, *, num_positions: int = 4) -> dict[str, Any]:
        """Return once-for-all's lists `ks`, `e`, `d`, or `e`, `d`, `w` of a ResNet50, and the resolution `r`.

        Each unit is filled up with its last active choice to `num_positions`, in a ResNet50 to its greatest depth. A
        sixth unit of one block (ProxylessNAS) stays one entry and has no depth.

        Raises:
            InvalidInputError: the architecture has widths and is none of once-for-all's ResNet50.
        """
        from ofa_hw.space import once_for_all

        if self.width_ratios:
            return once_for_all.to_resnet_lists(self)
        return once_for_all.to_mobile_lists(self, num_positions=num_positions)


def _stage_from_dict(stage: dict[str, Any]) -> tuple[BlockChoice, ...]:
    columns = {name: values for name, values in stage.items() if name != "width_ratio"}
    if not columns:
        raise ValueError("a stage without choices")
    return tuple(BlockChoice(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))


def whole(value: Any) -> int:
    """Return `value` as a whole number; ValueError where it is none."""
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def plain_ratio(value: Any) -> float:
    """Return a number, a whole one as int, so that equal architectures have equal JSON; ValueError for a bool."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    number = float(value)
    return int(number) if number.is_integer() else number
