"""`SearchSpace`: the architectures that one supernet holds, and their genes.

A space is a chain: an optional stem and static block, stages of elastic blocks, an optional head, a classifier. An
architecture chooses a resolution, each stage's depth, and for each block what its family declares, such as kernel size
and expand ratio (arXiv 1908.09791, section 3); where the space has width ratios, each stage's width too. A population
is an int8 matrix of genes, indices into the rising values; `SearchSpace.columns` tells which columns hold which choice.
Canonical genes are 0 beyond a stage's depth, so that equal rows mean equal networks.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.families import Choice, get_family, make_divisible
from ofa_hw.families.registry import HEAD
from ofa_hw.files import read_toml
from ofa_hw.space.architecture import ArchConfig, BlockChoice
from ofa_hw.space.faults import find_faults
from ofa_hw.space.stage import LISTED, StageSpec, Values

Genes = npt.NDArray[np.int8]
Indices = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The architectures that one supernet holds.

    Channel counts are given before `width_mult`; `width` applies it. The stem is a 3x3 convolution to `stem_channels`
    (0: none, the stages begin at the image); `first_channels` is the output of a static depthwise-separable block
    behind it (0: none). The head, of the family `head_kind`, is a 1x1 convolution to `head_expand_channels`, pooling,
    and a 1x1 convolution to `head_channels`. With `head_expand_channels` 0 it is a 1x1 convolution to `head_channels`,
    then pooling (ProxylessNAS); with `head_channels` 0 the classifier pools the last stage itself (ResNet). Where there
    are `width_ratios`, each stage chooses the part of its channels that it uses. Convolutions with a stride pad by half
    their kernel on every side (`padding` half), or as TensorFlow does (same). Values of choices must rise.

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
    head_kind: str = HEAD
    padding: str = "half"
    width_mult: float = 1.0
    bn_eps: float = 1e-5
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        faults = find_faults(self)
        if faults:
            raise InvalidInputError(f"space {self.name!r}: " + "; ".join(faults))

    def __repr__(self) -> str:
        return (
            f"<SearchSpace {self.name}: {self.num_archs:.2g} networks, {len(self.resolutions)} resolutions to "
            f"{self.resolutions[-1]} px, {len(self.stages)} stages, {self.num_classes} classes>"
        )

    @property
    def spelled_out(self) -> str:
        """Every field as text: what journals are bound to."""
        fields = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
        return f"SearchSpace({', '.join(fields)})"

    # ----------------------------------------------------------------------------------- derived quantities

    def width(self, channels: int, ratio: float = 1) -> int:
        """Return `channels` times the width multiplier and a stage's width ratio, made divisible by 8."""
        return make_divisible(channels * self.width_mult * ratio)

    def stage_depths(self, stage: int) -> tuple[int, ...]:
        """Return the depths that the stage with this index may have."""
        return self.stages[stage].depths or self.depths

    def values_of(self, stage: StageSpec, choice: Choice) -> Values:
        """Return the values that `stage` offers for one of its choices; () if neither it nor the space lists one."""
        if choice.fixed is not None:
            return (choice.fixed,)
        return stage.listed(choice.plural) or (getattr(self, choice.plural) if choice.plural in LISTED else ())

    def stage_values(self, stage: int) -> dict[str, Values]:
        """Return the values of each choice of the family of the stage with this index."""
        spec = self.stages[stage]
        return {choice.name: self.values_of(spec, choice) for choice in get_family(spec.kind).choices}

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
    def position_values(self) -> tuple[dict[str, Values], ...]:
        """The values of each choice at each position; a block with a stride may have fewer than its stage lists."""
        return tuple(
            get_family(self.stages[stage].kind).choices_at(
                self.stage_values(stage), self.stages[stage].stride if rank == 0 else 1
            )
            for stage, rank in zip(self.position_stages, self.position_ranks, strict=True)
        )

    @functools.cached_property
    def forms(self) -> tuple[tuple[BlockChoice, ...], ...]:
        """Everything that can be chosen at each position, in the order of `form_indices`."""
        return tuple(
            tuple(BlockChoice(**dict(zip(values, row, strict=True))) for row in itertools.product(*values.values()))
            for values in self.position_values
        )

    @functools.cached_property
    def max_num_forms(self) -> int:
        """The most forms that a position has."""
        return max(len(forms) for forms in self.forms)

    @property
    def num_archs(self) -> int:
        """The number of different networks, resolutions counted."""
        num = len(self.resolutions)
        first = 0
        for stage in range(len(self.stages)):
            depths = self.stage_depths(stage)
            forms = [len(its) for its in self.forms[first : first + max(depths)]]
            # Depths exclude each other, so their numbers add up.
            num *= self.num_widths * sum(math.prod(forms[:depth]) for depth in depths)
            first += max(depths)
        return num

    # ---------------------------------------------------------------------------------------------- genes

    @functools.cached_property
    def num_choices(self) -> tuple[int, ...]:
        """The number of choices of each gene."""
        depths = [len(self.stage_depths(stage)) for stage in range(len(self.stages))]
        widths = [len(self.width_ratios)] * len(self.stages) if self.has_elastic_width else []
        positions = [len(values) for choices in self.position_values for values in choices.values()]
        return (len(self.resolutions), *depths, *widths, *positions)

    @property
    def num_genes(self) -> int:
        """The number of columns of a gene matrix."""
        return len(self.num_choices)

    @functools.cached_property
    def columns(self) -> Mapping[str, Indices]:
        """The columns of each choice by its name, in the order of the stages or positions that have it.

        `resolution` has one, `depth` and `width_ratio` one for each stage (the latter none where widths are fixed);
        the choices of the blocks' families follow, such as `kernel_size`, one for each position that has them.
        """
        num_stages = len(self.stages)
        found = {
            "resolution": [0],
            "depth": list(range(1, 1 + num_stages)),
            "width_ratio": [1 + num_stages + stage for stage in range(num_stages)] if self.has_elastic_width else [],
        }
        names = [name for choices in self.position_values for name in choices]
        for column, name in enumerate(names, start=1 + num_stages + len(found["width_ratio"])):
            found.setdefault(name, []).append(column)
        return {name: np.array(columns, dtype=np.intp) for name, columns in found.items()}

    @functools.cached_property
    def kernel_columns(self) -> Indices:
        """The columns of all choices of kernels, in the order of the genes."""
        names = {choice.name for stage in self.stages for choice in get_family(stage.kind).choices if choice.is_kernel}
        return np.sort(np.concatenate([self.columns[name] for name in sorted(names)]))

    @functools.cached_property
    def position_columns(self) -> tuple[Indices, ...]:
        """The columns of each position, in the order of its choices."""
        widths = [len(choices) for choices in self.position_values]
        ends = self.num_genes - sum(widths) + np.cumsum(widths)
        return tuple(np.arange(end - width, end) for width, end in zip(widths, ends, strict=True))

    @functools.cached_property
    def gene_stages(self) -> Indices:
        """The stage that each column belongs to, (num_genes,); -1 for the resolution."""
        stages = np.full(self.num_genes, -1, dtype=np.intp)
        stages[self.columns["depth"]] = np.arange(len(self.stages))
        stages[self.columns["width_ratio"]] = np.arange(len(self.stages)) if self.has_elastic_width else []
        for stage, columns in zip(self.position_stages, self.position_columns, strict=True):
            stages[columns] = stage
        return stages

    @functools.cached_property
    def least_depth_indices(self) -> Genes:
        """The least index of its stage's depth at which each column is active, (num_genes,)."""
        least = np.zeros(self.num_genes, dtype=np.int8)
        for stage, rank, columns in zip(self.position_stages, self.position_ranks, self.position_columns, strict=True):
            least[columns] = sum(depth <= rank for depth in self.stage_depths(stage))
        return least

    def check_genes(self, genes: npt.ArrayLike) -> Genes:
        """Return `genes` as a gene matrix.

        Raises:
            InvalidInputError: it is not (n, num_genes) of whole numbers, or an index is outside its choices.
        """
        matrix = np.asarray(genes)
        if matrix.ndim != 2 or matrix.shape[1] != self.num_genes:
            raise InvalidInputError(f"genes of {self.name!r} must be (n, {self.num_genes}); came {matrix.shape}")
        if matrix.dtype.kind not in "iu":
            raise InvalidInputError(f"genes of {self.name!r} must be whole numbers; came {matrix.dtype}")
        if ((matrix < 0) | (matrix >= self._limits)).any():
            raise InvalidInputError(f"genes of {self.name!r} must be indices below {self.num_choices}")
        return matrix.astype(np.int8, copy=False)

    @functools.cached_property
    def _limits(self) -> Genes:
        return np.array(self.num_choices, dtype=np.int8)

    def stage_widths(self, genes: Genes) -> Genes:
        """Return (n, num_stages): the index of each stage's width ratio, 0 where there is no choice."""
        if self.has_elastic_width:
            return genes[:, self.columns["width_ratio"]]
        return np.zeros((len(genes), len(self.stages)), dtype=np.int8)

    def form_indices(self, genes: Genes) -> Indices:
        """Return (n, num_positions): which of the `forms` of each position a row has."""
        starts, weights = self._radix
        # The genes of a position are the digits of its form, in a mixed radix.
        first = self.num_genes - len(weights)
        indices: Indices = np.add.reduceat(genes[:, first:] * weights, starts, axis=1)
        return indices

    @functools.cached_property
    def _radix(self) -> tuple[Indices, Indices]:
        """The first column of each position, counted from the first of all, and the place value of each column."""
        weights: list[int] = []
        starts: list[int] = []
        for choices in self.position_values:
            starts.append(len(weights))
            numbers = [len(values) for values in choices.values()]
            weights += [math.prod(numbers[rank + 1 :]) for rank in range(len(numbers))]
        return np.array(starts, dtype=np.intp), np.array(weights, dtype=np.intp)

    def set_form(self, genes: Genes, position: int, form: int) -> None:
        """Give every row of `genes`, in place, the form with this index at a position."""
        columns = self.position_columns[position]
        sizes = [len(values) for values in self.position_values[position].values()]
        genes[:, columns] = np.unravel_index(form, sizes)

    def active_genes(self, genes: Genes) -> npt.NDArray[np.bool_]:
        """Return (n, num_genes): whether each gene lies within its stage's depth."""
        is_active: npt.NDArray[np.bool_] = genes[:, self._governors] >= self.least_depth_indices
        return is_active

    @functools.cached_property
    def _governors(self) -> Indices:
        """The column of the depth that each column depends on; the resolution's is its own, with a need of 0."""
        return np.where(self.gene_stages < 0, 0, 1 + self.gene_stages)

    def active_positions(self, genes: Genes) -> npt.NDArray[np.bool_]:
        """Return (n, num_positions): whether each position lies within its stage's depth."""
        depth_genes, least_depths = self._activation
        is_active: npt.NDArray[np.bool_] = genes[:, depth_genes] >= least_depths
        return is_active

    @functools.cached_property
    def _activation(self) -> tuple[Indices, Genes]:
        """The depth's column and its least index at which each position is active, each (num_positions,)."""
        firsts = [columns[0] for columns in self.position_columns]
        return self._governors[firsts], self.least_depth_indices[firsts]

    def canonical(self, genes: Genes) -> Genes:
        """Return a copy of `genes` (n, num_genes) with 0 beyond each stage's depth."""
        genes = np.array(genes, dtype=np.int8)
        genes *= self.active_genes(genes)
        return genes

    def sample_genes(self, num: int, rng: np.random.Generator) -> Genes:
        """Return `num` canonical rows, each gene drawn uniformly; rows may repeat."""
        return self.canonical(rng.integers(0, self.num_choices, size=(num, self.num_genes)).astype(np.int8))

    def sample_spread_genes(self, num: int, rng: np.random.Generator) -> Genes:
        """Return `num` canonical rows spread evenly from the smallest to the largest networks; rows may repeat.

        Each row draws a level from 0 to 1, then each gene near that level. Uniform draws of all genes almost never give
        networks near either end.
        """
        levels = rng.random((num, 1))
        # A binomial of n choices around the level has its mean there, and any choice is possible.
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
        for row, arch in zip(genes, archs, strict=True):
            self.validate(arch)
            row[self.columns["resolution"]] = self.resolutions.index(arch.resolution)
            row[self.columns["depth"]] = [self.stage_depths(index).index(d) for index, d in enumerate(arch.depths)]
            row[self.columns["width_ratio"]] = [self.width_ratios.index(ratio) for ratio in arch.width_ratios]
            for position, block in self._placed(arch):
                values = self.position_values[position]
                row[self.position_columns[position]] = [values[name].index(block[name]) for name in values]
        return genes

    def decode(self, genes: Genes) -> list[ArchConfig]:
        """Return the architectures of `genes` (n, num_genes); what lies beyond a stage's depth does not count.

        Raises:
            InvalidInputError: as `check_genes`.
        """
        genes = self.check_genes(genes)
        forms, depths = self.form_indices(genes).tolist(), genes[:, self.columns["depth"]].tolist()
        widths = genes[:, self.columns["width_ratio"]].tolist()
        return [
            ArchConfig(
                resolution=self.resolutions[resolution],
                stages=tuple(
                    tuple(
                        self.forms[first + rank][row[first + rank]] for rank in range(self.stage_depths(stage)[depth])
                    )
                    for stage, (first, depth) in enumerate(zip(self._first_positions, its_depths, strict=True))
                ),
                width_ratios=tuple(self.width_ratios[index] for index in its_widths),
            )
            for resolution, row, its_depths, its_widths in zip(genes[:, 0].tolist(), forms, depths, widths, strict=True)
        ]

    @functools.cached_property
    def _first_positions(self) -> tuple[int, ...]:
        return tuple(self.position_stages.index(stage) for stage in range(len(self.stages)))

    def _placed(self, arch: ArchConfig) -> Iterable[tuple[int, BlockChoice]]:
        """Yield each active block of an architecture with its position."""
        for first, blocks in zip(self._first_positions, arch.stages, strict=True):
            yield from enumerate(blocks, start=first)

    # -------------------------------------------------------------------------------------- architectures

    def validate(self, arch: ArchConfig) -> None:
        """Check that `arch` is of this space.

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
        for position, block in self._placed(arch):
            self._validate_block(position, block)
        self._validate_widths(arch)

    def _validate_block(self, position: int, block: BlockChoice) -> None:
        values, stage = self.position_values[position], self.position_stages[position]
        if block.keys() != values.keys():
            raise InvalidInputError(
                f"a block of stage {stage} of {self.name!r} must choose {', '.join(values)}; came {', '.join(block)}"
            )
        for name, offered in values.items():
            if block[name] not in offered:
                raise InvalidInputError(
                    f"{name.replace('_', ' ')} must be one of {offered} in stage {stage} of {self.name!r}; "
                    f"came {block[name]}"
                )

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
        self, *, resolution: int, depth: int | None = None, width_ratio: float | None = None, **choices: float
    ) -> ArchConfig:
        """Return the architecture with the same choice everywhere; what is left out is the greatest.

        `choices` are those of the families, such as `kernel_size`. Where a stage does not offer a value, it takes its
        own nearest.

        Raises:
            InvalidInputError: no stage offers a value, or the space does not offer the resolution or the width.
        """
        for name, value in choices.items():
            if not any(value in values.get(name, ()) for values in self.position_values):
                raise InvalidInputError(f"{name.replace('_', ' ')} must be one that {self.name!r} offers; came {value}")
        blocks = [
            BlockChoice(**{name: _nearest(its, choices.get(name, its[-1])) for name, its in values.items()})
            for values in self.position_values
        ]
        stages = []
        for stage, first in enumerate(self._first_positions):
            depths = self.stage_depths(stage)
            # All positions were filled; the depth says how many of them this stage uses.
            stages.append(tuple(blocks[first:][: int(max(depths) if depth is None else _nearest(depths, depth))]))
        ratio = self.width_ratios[-1:] if width_ratio is None else (width_ratio,)
        arch = ArchConfig(resolution=resolution, stages=tuple(stages), width_ratios=ratio * len(self.stages))
        self.validate(arch)
        return arch

    @property
    def max_num_depths(self) -> int:
        """The most depths that a stage may have."""
        return max(len(self.stage_depths(stage)) for stage in range(len(self.stages)))

    def max_num_values(self, *, of_kernels: bool) -> int:
        """Return the most values that a stage offers for a choice of kernels or, else, of hidden channels."""
        return max(
            (
                len(self.values_of(stage, choice))
                for stage in self.stages
                for choice in get_family(stage.kind).choices
                if choice.is_kernel == of_kernels
            ),
            default=1,
        )

    def all_values(self, *, of_kernels: bool) -> Values:
        """Return every value, rising, that some stage offers for a choice of kernels or, else, of hidden channels."""
        found = {
            value
            for stage in self.stages
            for choice in get_family(stage.kind).choices
            if choice.is_kernel == of_kernels
            for value in self.values_of(stage, choice)
        }
        return tuple(sorted(found))

    def with_largest(self, *, depths: int, kernels: int, ratios: int, width_ratios: int) -> SearchSpace:
        """Return the part of this space in which each choice has at most so many of its largest values."""
        stages = tuple(
            dataclasses.replace(
                stage.with_values(
                    {
                        choice.plural: self.values_of(stage, choice)[-(kernels if choice.is_kernel else ratios) :]
                        for choice in get_family(stage.kind).choices
                    }
                ),
                depths=self.stage_depths(index)[-depths:],
            )
            for index, stage in enumerate(self.stages)
        )
        return dataclasses.replace(self, width_ratios=self.width_ratios[-width_ratios:], stages=stages)

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
        value = _plain(self)
        value["stages"] = [
            _plain(stage) | {name: list(values) for name, values in stage.choices} for stage in self.stages
        ]
        for stage in value["stages"]:
            del stage["choices"]
        return value

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SearchSpace:
        """Return the space that `to_dict` or a TOML file describes; InvalidInputError names unknown or missing keys."""
        stages = value.get("stages") if isinstance(value, dict) else None
        if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
            raise InvalidInputError("a space must have [[stages]], each with out_channels, stride and activation")
        return cls(**{**_checked_keys(cls, value), "stages": tuple(_stage_from_dict(stage) for stage in stages)})

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchSpace:
        """Return the space that a TOML file describes; InvalidInputError names the file and every fault."""
        try:
            value = read_toml(path)
        except OSError as error:
            raise InvalidInputError(f"{path}: {error.strerror}") from error
        try:
            return cls.from_dict(value)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error


def _nearest(choices: Values, value: float) -> float:
    return min(choices, key=lambda choice: abs(choice - value))


def _plain(value: SearchSpace | StageSpec) -> dict[str, Any]:
    """Return the fields that are not None, tuples as lists."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {
        name: list(entry) if isinstance(entry, tuple) else entry for name, entry in fields.items() if entry is not None
    }


def _stage_from_dict(value: dict[str, Any]) -> StageSpec:
    """Return a stage, in which the choices of its family stand under their plural names."""
    kind = value.get("kind", StageSpec.kind)
    plurals = [choice.plural for choice in get_family(kind).choices] if isinstance(kind, str) else []
    # `kernel_sizes` and `expand_ratios` are fields of their own; other choices go into `choices`.
    further = [plural for plural in plurals if plural not in LISTED]
    choices = tuple((name, _frozen(value[name])) for name in further if name in value)
    own = {name: entry for name, entry in value.items() if name not in further}
    if "choices" in own:
        raise InvalidInputError(
            "StageSpec: unknown choices; each choice stands under its own name, such as kernel_sizes"
        )
    return StageSpec(**_checked_keys(StageSpec, own), choices=choices)


def _checked_keys(cls: type, value: dict[str, Any]) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(value) - set(fields))
    missing = [name for name, field in fields.items() if name not in value and field.default is dataclasses.MISSING]
    if unknown or missing:
        faults = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
        raise InvalidInputError(f"{cls.__name__}: {'; '.join(faults)}; the keys are {', '.join(fields)}")
    return {name: _frozen(entry) for name, entry in value.items()}


def _frozen(entry: Any) -> Any:
    return tuple(entry) if isinstance(entry, list) else entry
