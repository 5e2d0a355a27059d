"""The vocabulary of architectures: `SearchSpace`, what may be chosen; `ArchConfig`, what was; genes, both as numbers.

A space is a chain: stem, an optional static block, stages of elastic blocks, head, classifier. An architecture
chooses a resolution, each stage's depth, and each block's kernel size and expand ratio (arXiv 1908.09791,
section 3). A population is an int8 matrix of genes; its columns are the resolution, each stage's depth, then for
each position (stage by stage, up to the deepest) its kernel size and expand ratio, all as indices into the
sorted choices. Canonical genes are 0 beyond a stage's depth, so equal rows mean equal networks.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError

Genes = npt.NDArray[np.int8]

ACTIVATIONS = ("relu", "relu6", "h_swish")


def make_divisible(value: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `value`, at least `divisor` and never below 0.9 `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One unit: its blocks share `out_channels`; the first has `stride`, the rest stride 1.

    `out_channels` is counted before the space's width multiplier. `depths` replaces the space's where given.
    """

    out_channels: int
    stride: int
    activation: str
    use_se: bool
    depths: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockChoice:
    """What is chosen for one elastic block."""

    kernel_size: int
    expand_ratio: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchConfig:
    """One subnet: its input size in pixels and, for each stage, its active blocks; depth is their number."""

    resolution: int
    stages: tuple[tuple[BlockChoice, ...], ...]

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
        return {
            "resolution": self.resolution,
            "stages": [
                {
                    "kernel_size": [block.kernel_size for block in stage],
                    "expand_ratio": [block.expand_ratio for block in stage],
                }
                for stage in self.stages
            ],
        }

    @classmethod
    def from_dict(cls, value: Any) -> ArchConfig:
        """Return the architecture that `to_dict` wrote.

        Raises:
            InvalidInputError: `value` has another form.
        """
        try:
            stages = tuple(
                tuple(
                    BlockChoice(kernel_size=_whole(kernel_size), expand_ratio=_ratio(expand_ratio))
                    for kernel_size, expand_ratio in zip(stage["kernel_size"], stage["expand_ratio"], strict=True)
                )
                for stage in value["stages"]
            )
            return cls(resolution=_whole(value["resolution"]), stages=stages)
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
    def from_ofa(cls, *, ks: Sequence[int], e: Sequence[float], d: Sequence[int], resolution: int) -> ArchConfig:
        """Return the architecture of once-for-all's flat lists, whose entries beyond a unit's depth do not count.

        `ks` and `e` hold the same number of positions for each unit of `d`; ProxylessNAS's lists hold one
        position more, its last unit of a single block.
        """
        positions, rest = divmod(len(ks), max(len(d), 1))
        if len(e) != len(ks) or not d or (rest and (len(ks) - 1) % len(d)):
            raise InvalidInputError(
                f"ks and e must hold as many entries for each unit of d, or one entry more; came {len(ks)}, {len(e)} "
                f"for {len(d)} units"
            )
        if rest:
            positions = (len(ks) - 1) // len(d)
        if any(not 0 < depth <= positions for depth in d):
            raise InvalidInputError(f"each of d must be 1 to {positions}, the positions of a unit; came {list(d)}")
        blocks = [
            BlockChoice(kernel_size=_whole(k), expand_ratio=_ratio(ratio)) for k, ratio in zip(ks, e, strict=True)
        ]
        stages = [tuple(blocks[unit * positions : unit * positions + depth]) for unit, depth in enumerate(d)]
        if rest:
            stages.append((blocks[-1],))
        return cls(resolution=resolution, stages=tuple(stages))

    def to_ofa(self, *, num_positions: int = 4) -> dict[str, Any]:
        """Return once-for-all's lists `ks`, `e`, `d` and the resolution `r`.

        Each unit is filled to `num_positions` with its last active choice; a last unit of one block (ProxylessNAS)
        stays one entry and has no depth.
        """
        has_single = len(self.stages) > 5 and len(self.stages[-1]) == 1
        units = self.stages[:-1] if has_single else self.stages
        padded = [block for unit in units for block in unit + (unit[-1],) * (num_positions - len(unit))]
        padded += list(self.stages[-1]) if has_single else []
        return {
            "ks": [block.kernel_size for block in padded],
            "e": [block.expand_ratio for block in padded],
            "d": [len(unit) for unit in units],
            "r": self.resolution,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The architectures that one supernet holds.

    Channel counts are given before `width_mult`; `width` applies it. `first_channels` is the output of a static
    depthwise-separable block behind the stem (0: none). The head is a 1x1 convolution to `head_expand_channels`,
    pooling, and a 1x1 convolution to `head_channels`; with `head_expand_channels` 0 it is a 1x1 convolution to
    `head_channels`, then pooling (ProxylessNAS). Choices are kept sorted from small to large.

    Raises:
        InvalidInputError: naming every fault of the values.
    """

    name: str
    resolutions: tuple[int, ...]
    stages: tuple[StageSpec, ...]
    kernel_sizes: tuple[int, ...] = (3, 5, 7)
    expand_ratios: tuple[float, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)
    in_channels: int = 3
    num_classes: int = 1000
    stem_channels: int = 16
    stem_stride: int = 2
    stem_activation: str = "h_swish"
    first_channels: int = 16
    first_activation: str = "relu"
    head_expand_channels: int = 960
    head_channels: int = 1280
    head_activation: str = "h_swish"
    width_mult: float = 1.0
    bn_eps: float = 1e-5
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise InvalidInputError(f"space {self.name!r}: " + "; ".join(faults))

    # ----------------------------------------------------------------------------------- derived quantities

    def width(self, channels: int) -> int:
        """Return `channels` times the width multiplier, made divisible by 8."""
        return make_divisible(channels * self.width_mult)

    def stage_depths(self, stage: int) -> tuple[int, ...]:
        """Return the depths that the stage with this index may have."""
        return self.stages[stage].depths or self.depths

    @functools.cached_property
    def position_stages(self) -> tuple[int, ...]:
        """The stage of each position, in the order of the genes."""
        return tuple(stage for stage in range(len(self.stages)) for _ in range(max(self.stage_depths(stage))))

    @functools.cached_property
    def position_ranks(self) -> tuple[int, ...]:
        """The place of each position within its stage, from 0."""
        return tuple(rank for stage in range(len(self.stages)) for rank in range(max(self.stage_depths(stage))))

    @functools.cached_property
    def num_choices(self) -> tuple[int, ...]:
        """The number of choices of each gene."""
        depths = [len(self.stage_depths(stage)) for stage in range(len(self.stages))]
        position = [len(self.kernel_sizes), len(self.expand_ratios)]
        return (len(self.resolutions), *depths, *(position * len(self.position_stages)))

    @property
    def num_genes(self) -> int:
        """The number of columns of a gene matrix."""
        return len(self.num_choices)

    @property
    def num_archs(self) -> int:
        """The number of different networks, resolutions counted."""
        choices = len(self.kernel_sizes) * len(self.expand_ratios)
        num = len(self.resolutions)
        for stage in range(len(self.stages)):
            num *= sum(int(choices**depth) for depth in self.stage_depths(stage))
        return num

    # ---------------------------------------------------------------------------------------------- genes

    @property
    def first_position_gene(self) -> int:
        """The column of the first position's kernel size; its expand ratio is the next."""
        return 1 + len(self.stages)

    def active_positions(self, genes: Genes) -> npt.NDArray[np.bool_]:
        """Return (n, num_positions): whether each position lies within its stage's depth."""
        depth_genes, least_depths = self._activation
        is_active: npt.NDArray[np.bool_] = genes[:, depth_genes] >= least_depths
        return is_active

    @functools.cached_property
    def _activation(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int8]]:
        """The depth's column and its least index at which each position is active, each (num_positions,)."""
        least = [
            sum(depth <= rank for depth in self.stage_depths(stage))
            for stage, rank in zip(self.position_stages, self.position_ranks, strict=True)
        ]
        return 1 + np.array(self.position_stages, dtype=np.intp), np.array(least, dtype=np.int8)

    def canonical(self, genes: Genes) -> Genes:
        """Return a copy of `genes` (n, num_genes) with 0 beyond each stage's depth."""
        genes = np.array(genes, dtype=np.int8)
        genes[:, self.first_position_gene :] *= np.repeat(self.active_positions(genes), 2, axis=1)
        return genes

    def sample_genes(self, num: int, rng: np.random.Generator) -> Genes:
        """Return `num` canonical rows, each gene drawn uniformly; rows may repeat."""
        return self.canonical(rng.integers(0, self.num_choices, size=(num, self.num_genes)).astype(np.int8))

    def sample_spread_genes(self, num: int, rng: np.random.Generator) -> Genes:
        """Return `num` canonical rows spread evenly from the smallest to the largest networks; rows may repeat.

        Each row draws a level from 0 to 1 and every gene around it. A uniform draw almost never meets the ends.
        """
        levels = rng.random((num, 1))
        return self.canonical(rng.binomial(np.array(self.num_choices) - 1, levels).astype(np.int8))

    def sample(self, num: int, rng: np.random.Generator) -> list[ArchConfig]:
        """Return `num` architectures, each choice drawn uniformly; they may repeat."""
        return self.decode(self.sample_genes(num, rng))

    def encode(self, archs: Iterable[ArchConfig]) -> Genes:
        """Return the canonical genes (n, num_genes) of `archs`.

        Raises:
            InvalidInputError: an architecture is not of this space.
        """
        archs = list(archs)
        genes = np.zeros((len(archs), self.num_genes), dtype=np.int8)
        starts = [self.position_stages.index(stage) for stage in range(len(self.stages))]
        for row, arch in zip(genes, archs, strict=True):
            self.validate(arch)
            row[0] = self.resolutions.index(arch.resolution)
            for stage, blocks in enumerate(arch.stages):
                row[1 + stage] = self.stage_depths(stage).index(len(blocks))
                for rank, block in enumerate(blocks):
                    column = self.first_position_gene + 2 * (starts[stage] + rank)
                    row[column] = self.kernel_sizes.index(block.kernel_size)
                    row[column + 1] = self.expand_ratios.index(block.expand_ratio)
        return genes

    def decode(self, genes: Genes) -> list[ArchConfig]:
        """Return the architectures of `genes` (n, num_genes); what lies beyond a stage's depth does not count.

        Raises:
            InvalidInputError: the matrix has another width, or an index is outside its choices.
        """
        genes = np.asarray(genes)
        if genes.ndim != 2 or genes.shape[1] != self.num_genes:
            raise InvalidInputError(f"genes of {self.name!r} must be (n, {self.num_genes}); came {genes.shape}")
        if ((genes < 0) | (genes >= np.array(self.num_choices))).any():
            raise InvalidInputError(f"genes of {self.name!r} must be indices below {self.num_choices}")
        archs = []
        for row in genes.tolist():
            stages, column = [], self.first_position_gene
            for stage in range(len(self.stages)):
                depths = self.stage_depths(stage)
                stages.append(
                    tuple(
                        BlockChoice(
                            kernel_size=self.kernel_sizes[row[column + 2 * rank]],
                            expand_ratio=self.expand_ratios[row[column + 2 * rank + 1]],
                        )
                        for rank in range(depths[row[1 + stage]])
                    )
                )
                column += 2 * max(depths)
            archs.append(ArchConfig(resolution=self.resolutions[row[0]], stages=tuple(stages)))
        return archs

    # -------------------------------------------------------------------------------------- architectures

    def validate(self, arch: ArchConfig) -> None:
        """Return where `arch` is of this space.

        Raises:
            InvalidInputError: naming the first choice that this space does not offer.
        """
        if arch.resolution not in self.resolutions:
            raise InvalidInputError(
                f"resolution must be one of {self.resolutions} in {self.name!r}; came {arch.resolution}"
            )
        if len(arch.stages) != len(self.stages):
            raise InvalidInputError(f"{self.name!r} has {len(self.stages)} stages; came {len(arch.stages)}")
        for stage, blocks in enumerate(arch.stages):
            if len(blocks) not in self.stage_depths(stage):
                raise InvalidInputError(
                    f"depth of stage {stage} must be one of {self.stage_depths(stage)} in {self.name!r}; "
                    f"came {len(blocks)}"
                )
            for block in blocks:
                if block.kernel_size not in self.kernel_sizes:
                    raise InvalidInputError(
                        f"kernel size must be one of {self.kernel_sizes} in {self.name!r}; came {block.kernel_size}"
                    )
                if block.expand_ratio not in self.expand_ratios:
                    raise InvalidInputError(
                        f"expand ratio must be one of {self.expand_ratios} in {self.name!r}; came {block.expand_ratio}"
                    )

    def uniform_arch(
        self, *, resolution: int, kernel_size: int, expand_ratio: float, depth: int | None = None
    ) -> ArchConfig:
        """Return the architecture with the same choice in every block; `depth` None is each stage's deepest.

        Where a stage does not offer `depth`, it takes its own nearest.
        """
        block = BlockChoice(kernel_size=kernel_size, expand_ratio=expand_ratio)
        stages = []
        for stage in range(len(self.stages)):
            depths = self.stage_depths(stage)
            chosen = max(depths) if depth is None else min(depths, key=lambda d: abs(d - depth))
            stages.append((block,) * chosen)
        arch = ArchConfig(resolution=resolution, stages=tuple(stages))
        self.validate(arch)
        return arch

    @property
    def largest(self) -> ArchConfig:
        """The architecture with the greatest of every choice."""
        return self.uniform_arch(
            resolution=self.resolutions[-1], kernel_size=self.kernel_sizes[-1], expand_ratio=self.expand_ratios[-1]
        )

    @property
    def smallest(self) -> ArchConfig:
        """The architecture with the least of every choice."""
        return self.uniform_arch(
            resolution=self.resolutions[0],
            kernel_size=self.kernel_sizes[0],
            expand_ratio=self.expand_ratios[0],
            depth=1,
        )

    # ---------------------------------------------------------------------------------------------- files

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain values for TOML or JSON; `from_dict` reads them back."""
        value = dataclasses.asdict(self)
        value["stages"] = [
            {key: entry for key, entry in stage.items() if entry is not None} for stage in value["stages"]
        ]
        return {key: list(entry) if isinstance(entry, tuple) else entry for key, entry in value.items()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SearchSpace:
        """Return the space that `to_dict` or a TOML file describes; InvalidInputError names unknown or missing keys."""
        stages = value.get("stages") if isinstance(value, dict) else None
        if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
            raise InvalidInputError(
                "a space must have [[stages]], each with out_channels, stride, activation and use_se"
            )
        specs = tuple(StageSpec(**_checked_keys(StageSpec, stage)) for stage in stages)
        return cls(**{**_checked_keys(cls, value), "stages": specs})

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchSpace:
        """Return the space that a TOML file describes; InvalidInputError names the file and every fault."""
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text()))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{path}: {error}") from error


def list_spaces() -> tuple[str, ...]:
    """Return the names of the spaces that ship with ofa-hw."""
    folder = resources.files("ofa_hw") / "spaces"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def get_space(name: str) -> SearchSpace:
    """Return the space of this name, or the space that the TOML file at this path describes.

    Raises:
        InvalidInputError: no such name and no such file; the message lists the names.
    """
    if name in list_spaces():
        text = (resources.files("ofa_hw") / "spaces" / f"{name}.toml").read_text()
        return SearchSpace.from_dict(tomllib.loads(text))
    if name.endswith(".toml"):
        return SearchSpace.from_toml(name)
    raise InvalidInputError(
        f"no space {name!r}; there are {', '.join(list_spaces())}, or give the path of a .toml file"
    )


def _faults(space: SearchSpace) -> list[str]:
    faults = [*_faults_of_choices(space), *_faults_of_widths(space)]
    for index, stage in enumerate(space.stages):
        faults += [f"stage {index}: {fault}" for fault in _faults_of_stage(stage)]
    if not space.stages:
        faults.append("there must be at least one stage")
    if not faults:
        total_stride = space.stem_stride * math.prod(stage.stride for stage in space.stages)
        if space.resolutions[0] < total_stride:
            faults.append(f"resolutions must be at least the total stride {total_stride}, came {space.resolutions[0]}")
    return faults


def _faults_of_choices(space: SearchSpace) -> list[str]:
    faults = []
    for field in ("resolutions", "kernel_sizes", "expand_ratios", "depths"):
        values = getattr(space, field)
        kinds = int | float if field == "expand_ratios" else int
        if not _rises(values, kinds):
            faults.append(f"{field} must hold positive {_NUMBERS[kinds]} that rise and do not repeat, came {values}")
        elif field == "kernel_sizes" and any(k % 2 == 0 for k in values):
            faults.append(f"kernel_sizes must be odd, came {values}")
    return faults


_NUMBERS = {int: "whole numbers", int | float: "numbers"}


def _rises(values: Any, kinds: Any) -> bool:
    """Whether `values` are a tuple of one or more positive numbers of `kinds`, from small to large."""
    if not isinstance(values, tuple) or not values or not all(isinstance(v, kinds) and v > 0 for v in values):
        return False
    return list(values) == sorted(set(values))


def _faults_of_widths(space: SearchSpace) -> list[str]:
    faults = []
    least = {"in_channels": 1, "num_classes": 1, "stem_channels": 1, "head_channels": 1}
    for field, lowest in {**least, "first_channels": 0, "head_expand_channels": 0}.items():
        if not isinstance(getattr(space, field), int) or getattr(space, field) < lowest:
            faults.append(f"{field} must be a whole number from {lowest}, came {getattr(space, field)}")
    for field in ("stem_activation", "first_activation", "head_activation"):
        if getattr(space, field) not in ACTIVATIONS:
            faults.append(f"{field} must be one of {', '.join(ACTIVATIONS)}, came {getattr(space, field)!r}")
    if space.stem_stride not in (1, 2):
        faults.append(f"stem_stride must be 1 or 2, came {space.stem_stride}")
    for field in ("width_mult", "bn_eps", "bn_momentum"):
        if not isinstance(getattr(space, field), int | float) or not getattr(space, field) > 0:
            faults.append(f"{field} must be above 0, came {getattr(space, field)}")
    return faults


def _faults_of_stage(stage: StageSpec) -> list[str]:
    faults = []
    if stage.activation not in ACTIVATIONS:
        faults.append(f"activation must be one of {', '.join(ACTIVATIONS)}, came {stage.activation!r}")
    if stage.stride not in (1, 2):
        faults.append(f"stride must be 1 or 2, came {stage.stride}")
    if not isinstance(stage.out_channels, int) or stage.out_channels < 1:
        faults.append(f"out_channels must be 1 or more, came {stage.out_channels}")
    if stage.depths is not None and not _rises(stage.depths, int):
        faults.append(f"depths must hold positive whole numbers that rise and do not repeat, came {stage.depths}")
    return faults


def _checked_keys(cls: type, value: dict[str, Any]) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(value) - set(fields))
    missing = [name for name, field in fields.items() if name not in value and field.default is dataclasses.MISSING]
    if unknown or missing:
        told = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
        raise InvalidInputError(f"{cls.__name__}: {'; '.join(told)}; the keys are {', '.join(fields)}")
    return {name: tuple(entry) if isinstance(entry, list) else entry for name, entry in value.items()}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _ratio(value: Any) -> float:
    """Keep whole ratios as int, so that equal architectures have equal JSON."""
    number = float(value)
    return int(number) if number.is_integer() else number
