"""`SearchSpace`: the architectures that one supernet holds, and their genes.

A space is a chain: stem, an optional static block, stages of elastic blocks, head, classifier. An architecture
chooses a resolution, each stage's depth, and each block's kernel size and expand ratio (arXiv 1908.09791,
section 3); where the space has width ratios, each stage's width too. A population is an int8 matrix of genes;
its columns are the resolution, each stage's depth, each stage's width where it is chosen, then for each position
(stage by stage, up to the deepest) its kernel size and expand ratio, all as indices into the sorted choices.
Canonical genes are 0 beyond a stage's depth, so equal rows mean equal networks.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.space.architecture import ArchConfig, BlockChoice
from ofa_hw.space.faults import find_faults
from ofa_hw.space.stage import UNEXPANDED_KINDS, StageSpec, make_divisible

Genes = npt.NDArray[np.int8]

Number = TypeVar("Number", int, float)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The architectures that one supernet holds.

    Channel counts are given before `width_mult`; `width` applies it. The stem is a 3x3 convolution to `stem_channels`
    (0: none, the stages begin at the image); `first_channels` is the output of a static depthwise-separable block
    behind it (0: none). The head is a 1x1 convolution to `head_expand_channels`, pooling, and a 1x1 convolution to
    `head_channels`; with `head_expand_channels` 0 it is a 1x1 convolution to `head_channels`, then pooling
    (ProxylessNAS), and with `head_channels` 0 the classifier pools the last stage itself (ResNet). Where there are
    `width_ratios`, each stage chooses the part of its channels that it uses. Choices are kept sorted, smallest first.

    Raises:
        InvalidInputError: naming every fault of the values.
    """

    name: str
    resolutions: tuple[int, ...]
    stages: tuple[StageSpec, ...]
    kernel_sizes: tuple[int, ...] = (3, 5, 7)
    expand_ratios: tuple[float, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)
    width_ratios: tuple[float, ...] = ()
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
        faults = find_faults(self)
        if faults:
            raise InvalidInputError(f"space {self.name!r}: " + "; ".join(faults))

    # ----------------------------------------------------------------------------------- derived quantities

    def width(self, channels: int, ratio: float = 1) -> int:
        """Return `channels` times the width multiplier and a stage's width ratio, made divisible by 8."""
        return make_divisible(channels * self.width_mult * ratio)

    def stage_depths(self, stage: int) -> tuple[int, ...]:
        """Return the depths that the stage with this index may have."""
        return self.stages[stage].depths or self.depths

    def stage_kernel_sizes(self, stage: int) -> tuple[int, ...]:
        """Return the kernel sizes that the blocks of the stage with this index may have."""
        return self.stages[stage].kernel_sizes or self.kernel_sizes

    def stage_expand_ratios(self, stage: int) -> tuple[float, ...]:
        """Return the expand ratios that the blocks of the stage with this index may have."""
        spec = self.stages[stage]
        return (1,) if spec.kind in UNEXPANDED_KINDS else spec.expand_ratios or self.expand_ratios

    @property
    def num_widths(self) -> int:
        """The number of widths that a stage may have."""
        return max(1, len(self.width_ratios))

    @property
    def has_elastic_width(self) -> bool:
        """Whether stages choose their width."""
        return bool(self.width_ratios)

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
        widths = [len(self.width_ratios)] * len(self.stages) if self.has_elastic_width else []
        positions = [
            len(choices)
            for stage in self.position_stages
            for choices in (self.stage_kernel_sizes(stage), self.stage_expand_ratios(stage))
        ]
        return (len(self.resolutions), *depths, *widths, *positions)

    @property
    def num_genes(self) -> int:
        """The number of columns of a gene matrix."""
        return len(self.num_choices)

    @property
    def num_archs(self) -> int:
        """The number of different networks, resolutions counted."""
        num = len(self.resolutions)
        for stage in range(len(self.stages)):
            choices = len(self.stage_kernel_sizes(stage)) * len(self.stage_expand_ratios(stage))
            num *= self.num_widths * sum(int(choices**depth) for depth in self.stage_depths(stage))
        return num

    # ---------------------------------------------------------------------------------------------- genes

    @property
    def first_position_gene(self) -> int:
        """The column of the first position's kernel size; its expand ratio is the next."""
        return 1 + len(self.stages) * (2 if self.has_elastic_width else 1)

    def stage_widths(self, genes: Genes) -> Genes:
        """Return (n, num_stages): the index of each stage's width ratio, 0 where there is no choice."""
        num_stages = len(self.stages)
        if self.has_elastic_width:
            return genes[:, 1 + num_stages : 1 + 2 * num_stages]
        return np.zeros((len(genes), num_stages), dtype=np.int8)

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
                if self.has_elastic_width:
                    row[1 + len(self.stages) + stage] = self.width_ratios.index(arch.width_ratios[stage])
                for rank, block in enumerate(blocks):
                    column = self.first_position_gene + 2 * (starts[stage] + rank)
                    row[column] = self.stage_kernel_sizes(stage).index(block.kernel_size)
                    row[column + 1] = self.stage_expand_ratios(stage).index(block.expand_ratio)
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
                kernel_sizes, expand_ratios = self.stage_kernel_sizes(stage), self.stage_expand_ratios(stage)
                stages.append(
                    tuple(
                        BlockChoice(
                            kernel_size=kernel_sizes[row[column + 2 * rank]],
                            expand_ratio=expand_ratios[row[column + 2 * rank + 1]],
                        )
                        for rank in range(depths[row[1 + stage]])
                    )
                )
                column += 2 * max(depths)
            widths = row[1 + len(self.stages) : self.first_position_gene]
            archs.append(
                ArchConfig(
                    resolution=self.resolutions[row[0]],
                    stages=tuple(stages),
                    width_ratios=tuple(self.width_ratios[index] for index in widths),
                )
            )
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
            kernel_sizes, expand_ratios = self.stage_kernel_sizes(stage), self.stage_expand_ratios(stage)
            for block in blocks:
                if block.kernel_size not in kernel_sizes:
                    raise InvalidInputError(
                        f"kernel size must be one of {kernel_sizes} in stage {stage} of {self.name!r}; "
                        f"came {block.kernel_size}"
                    )
                if block.expand_ratio not in expand_ratios:
                    raise InvalidInputError(
                        f"expand ratio must be one of {expand_ratios} in stage {stage} of {self.name!r}; "
                        f"came {block.expand_ratio}"
                    )
        self._validate_widths(arch)

    def _validate_widths(self, arch: ArchConfig) -> None:
        num_widths = len(self.stages) if self.has_elastic_width else 0
        if len(arch.width_ratios) != num_widths:
            raise InvalidInputError(
                f"an architecture of {self.name!r} must have {num_widths} width ratios; came {len(arch.width_ratios)}"
            )
        unknown = sorted(set(arch.width_ratios) - set(self.width_ratios))
        if unknown:
            raise InvalidInputError(
                f"width ratio must be one of {self.width_ratios} in {self.name!r}; came {unknown[0]}"
            )

    def uniform_arch(
        self,
        *,
        resolution: int,
        kernel_size: int,
        expand_ratio: float,
        depth: int | None = None,
        width_ratio: float | None = None,
    ) -> ArchConfig:
        """Return the architecture with the same choice everywhere; `depth` and `width_ratio` None are the greatest.

        Where a stage does not offer a choice, it takes its own nearest.

        Raises:
            InvalidInputError: no stage offers the choice.
        """
        stages = []
        for stage in range(len(self.stages)):
            depths = self.stage_depths(stage)
            block = BlockChoice(
                kernel_size=_nearest(self.stage_kernel_sizes(stage), kernel_size),
                expand_ratio=_nearest(self.stage_expand_ratios(stage), expand_ratio),
            )
            stages.append((block,) * (max(depths) if depth is None else _nearest(depths, depth)))
        ratio = self.width_ratios[-1:] if width_ratio is None else (width_ratio,)
        arch = ArchConfig(resolution=resolution, stages=tuple(stages), width_ratios=ratio * len(self.stages))
        self.validate(arch)
        blocks = {block for blocks in stages for block in blocks}
        for name, value, taken in (
            ("kernel size", kernel_size, {block.kernel_size for block in blocks}),
            ("expand ratio", expand_ratio, {block.expand_ratio for block in blocks}),
        ):
            if value not in taken:
                raise InvalidInputError(f"{name} must be one that {self.name!r} offers; came {value}")
        return arch

    @functools.cached_property
    def block_choices(self) -> tuple[tuple[int, float], ...]:
        """Every kernel size and expand ratio that the blocks of some stage offer together, in rising order."""
        stages = range(len(self.stages))
        return tuple(
            sorted(
                {
                    (kernel_size, expand_ratio)
                    for stage in stages
                    for kernel_size in self.stage_kernel_sizes(stage)
                    for expand_ratio in self.stage_expand_ratios(stage)
                }
            )
        )

    @property
    def max_num_depths(self) -> int:
        """The most depths that a stage may have."""
        return max(len(self.stage_depths(stage)) for stage in range(len(self.stages)))

    @property
    def max_num_kernel_sizes(self) -> int:
        """The most kernel sizes that a block may have."""
        return max(len(self.stage_kernel_sizes(stage)) for stage in range(len(self.stages)))

    @property
    def max_num_expand_ratios(self) -> int:
        """The most expand ratios that a block may have."""
        return max(len(self.stage_expand_ratios(stage)) for stage in range(len(self.stages)))

    @functools.cached_property
    def largest(self) -> ArchConfig:
        """The architecture with the greatest of every choice."""
        return self.decode(np.array([self.num_choices]) - 1)[0]

    @functools.cached_property
    def smallest(self) -> ArchConfig:
        """The architecture with the least of every choice."""
        return self.decode(np.zeros((1, self.num_genes), dtype=np.int8))[0]

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
            raise InvalidInputError("a space must have [[stages]], each with out_channels, stride and activation")
        specs = tuple(StageSpec(**_checked_keys(StageSpec, stage)) for stage in stages)
        return cls(**{**_checked_keys(cls, value), "stages": specs})

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchSpace:
        """Return the space that a TOML file describes; InvalidInputError names the file and every fault."""
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text()))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{path}: {error}") from error


def _nearest(choices: tuple[Number, ...], value: float) -> Number:
    return min(choices, key=lambda choice: abs(choice - value))


def _checked_keys(cls: type, value: dict[str, Any]) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(value) - set(fields))
    missing = [name for name, field in fields.items() if name not in value and field.default is dataclasses.MISSING]
    if unknown or missing:
        told = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
        raise InvalidInputError(f"{cls.__name__}: {'; '.join(told)}; the keys are {', '.join(fields)}")
    return {name: tuple(entry) if isinstance(entry, list) else entry for name, entry in value.items()}
