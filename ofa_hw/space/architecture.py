"""`ArchConfig`: what was chosen of a space, for the network as a whole, for each stage and for each block."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ofa_hw.errors import InvalidInputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockChoice:
    """What is chosen for one elastic block."""

    kernel_size: int
    expand_ratio: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchConfig:
    """One subnet: its input size in pixels and, for each stage, its active blocks; depth is their number.

    `width_ratios` holds what part of each stage's channels is used; it is empty where the space has no such choice.
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
        stages: list[dict[str, Any]] = [
            {
                "kernel_size": [block.kernel_size for block in stage],
                "expand_ratio": [plain_ratio(block.expand_ratio) for block in stage],
            }
            for stage in self.stages
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
            stages = tuple(
                tuple(
                    BlockChoice(kernel_size=whole(kernel_size), expand_ratio=plain_ratio(expand_ratio))
                    for kernel_size, expand_ratio in zip(stage["kernel_size"], stage["expand_ratio"], strict=True)
                )
                for stage in value["stages"]
            )
            has_widths = any("width_ratio" in stage for stage in value["stages"])
            widths = [plain_ratio(stage["width_ratio"]) for stage in value["stages"]] if has_widths else []
            return cls(resolution=whole(value["resolution"]), stages=stages, width_ratios=tuple(widths))
        except (TypeError, KeyError, ValueError) as error:
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
            value = json.loads(text)
        except ValueError as error:
            raise InvalidInputError(f"an architecture must be JSON; came: {text[:80]!r} ({error})") from error
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
        """Return the architecture of once-for-all's flat lists, whose entries beyond a unit's depth do not count.

        MobileNetV3 and ProxylessNAS have `ks`, the same number of positions in `ks` and `e` for each unit of `d`;
        ProxylessNAS's hold one position more, its last unit of a single block. ResNet50 has `w` instead of `ks`: 18
        entries in `e`, 5 in `d`, 6 in `w`.

        Raises:
            InvalidInputError: the lists do not fit each other, or an entry is none of once-for-all's.
        """
        from ofa_hw.space import once_for_all

        if w is None:
            return once_for_all.from_mobile_lists(ks=ks or (), e=e, d=d, resolution=resolution)
        return once_for_all.from_resnet_lists(e=e, d=d, w=w, resolution=resolution)

    def to_ofa(self, *, num_positions: int = 4) -> dict[str, Any]:
        """Return once-for-all's lists `ks`, `e`, `d`, or `e`, `d`, `w` of a ResNet50, and the resolution `r`.

        Each unit is filled to `num_positions`, of a ResNet50 to its deepest, with its last active choice; a last unit
        of one block (ProxylessNAS) stays one entry and has no depth.

        Raises:
            InvalidInputError: the architecture has widths and is none of once-for-all's ResNet50.
        """
        from ofa_hw.space import once_for_all

        if self.width_ratios:
            return once_for_all.to_resnet_lists(self)
        return once_for_all.to_mobile_lists(self, num_positions=num_positions)


def whole(value: Any) -> int:
    """Return `value` as a whole number; ValueError where it is none."""
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def plain_ratio(value: Any) -> float:
    """Return a ratio, a whole one as int, so that equal architectures have equal JSON."""
    number = float(value)
    return int(number) if number.is_integer() else number
