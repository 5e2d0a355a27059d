"""The one walk through the network: an architecture becomes a chain of `BlockSpec`, which all else builds on.

`build_subnet` makes modules of these specs, the profilers time them, tables are keyed by them. What a block costs
in MACs, parameters and memory is counted here from the same fields.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import ArchConfig, BlockChoice, Genes, SearchSpace, StageSpec, make_divisible

KINDS = ("conv", "dsconv", "mbconv", "head", "classifier")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """One block with all that changes its latency.

    kind          what it is
    ----------    ------------------------------------------------------------------------------------------
    `conv`        k x k convolution, batch norm, activation (the stem)
    `dsconv`      depthwise k x k, batch norm, activation; 1x1 to `out_channels`, batch norm
    `mbconv`      1x1 to `mid_channels`, batch norm, activation; then as `dsconv`, with squeeze-and-excite where used
    `head`        1x1 to `mid_channels`, batch norm, activation; global mean; 1x1 to `out_channels`, activation.
                  With `mid_channels` 0: 1x1 to `out_channels`, batch norm, activation; global mean
    `classifier`  a linear layer on (n, `in_channels`)

    `input_size` is the height and width of the square input in pixels; a `classifier` has 1.
    """

    kind: str
    input_size: int
    in_channels: int
    mid_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    activation: str
    use_se: bool
    has_skip: bool

    @property
    def output_size(self) -> int:
        """The height and width of the output in pixels."""
        return 1 if self.kind in ("head", "classifier") else (self.input_size - 1) // self.stride + 1

    @property
    def se_channels(self) -> int:
        """The hidden channels of squeeze-and-excite; 0 without."""
        return make_divisible(self.mid_channels // 4) if self.use_se else 0

    @functools.cached_property
    def key(self) -> str:
        """A readable name that spells out every field; unique for each block."""
        flags = ("-se" if self.use_se else "") + ("-skip" if self.has_skip else "")
        return (
            f"{self.kind}-r{self.input_size}-i{self.in_channels}-m{self.mid_channels}-o{self.out_channels}"
            f"-k{self.kernel_size}-s{self.stride}-{self.activation}{flags}"
        )


def block_specs(space: SearchSpace, arch: ArchConfig) -> tuple[BlockSpec, ...]:
    """Return the blocks of `arch` from the image to the logits.

    Stem, the static block where the space has one, each stage's active blocks, head, classifier.

    Raises:
        InvalidInputError: `arch` is not of this space.
    """
    space.validate(arch)
    channels = space.width(space.stem_channels)
    chain = [
        BlockSpec(
            kind="conv",
            input_size=arch.resolution,
            in_channels=space.in_channels,
            mid_channels=0,
            out_channels=channels,
            kernel_size=3,
            stride=space.stem_stride,
            activation=space.stem_activation,
            use_se=False,
            has_skip=False,
        )
    ]
    if space.first_channels:
        out_channels = space.width(space.first_channels)
        chain.append(
            BlockSpec(
                kind="dsconv",
                input_size=chain[-1].output_size,
                in_channels=channels,
                mid_channels=channels,
                out_channels=out_channels,
                kernel_size=3,
                stride=1,
                activation=space.first_activation,
                use_se=False,
                has_skip=channels == out_channels,
            )
        )
    for stage, choices in zip(space.stages, arch.stages, strict=True):
        for rank, choice in enumerate(choices):
            chain.append(_elastic_block(space, stage, choice, rank, chain[-1]))
    chain.append(_head(space, chain[-1]))
    chain.append(
        BlockSpec(
            kind="classifier",
            input_size=1,
            in_channels=chain[-1].out_channels,
            mid_channels=0,
            out_channels=space.num_classes,
            kernel_size=1,
            stride=1,
            activation="none",
            use_se=False,
            has_skip=False,
        )
    )
    return tuple(chain)


def _elastic_block(
    space: SearchSpace, stage: StageSpec, choice: BlockChoice, rank: int, previous: BlockSpec
) -> BlockSpec:
    in_channels, out_channels = previous.out_channels, space.width(stage.out_channels)
    stride = stage.stride if rank == 0 else 1
    return BlockSpec(
        kind="mbconv",
        input_size=previous.output_size,
        in_channels=in_channels,
        mid_channels=make_divisible(round(in_channels * choice.expand_ratio)),
        out_channels=out_channels,
        kernel_size=choice.kernel_size,
        stride=stride,
        activation=stage.activation,
        use_se=stage.use_se,
        has_skip=stride == 1 and in_channels == out_channels,
    )


def _head(space: SearchSpace, previous: BlockSpec) -> BlockSpec:
    return BlockSpec(
        kind="head",
        input_size=previous.output_size,
        in_channels=previous.out_channels,
        mid_channels=space.width(space.head_expand_channels) if space.head_expand_channels else 0,
        out_channels=space.width(space.head_channels),
        kernel_size=1,
        stride=1,
        activation=space.head_activation,
        use_se=False,
        has_skip=False,
    )


def block_costs(
    space: SearchSpace, cost: Callable[[BlockSpec], float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what every block of the space costs, as arrays to be indexed by genes.

    Returns:
        The blocks that every architecture of a resolution has, float64 (num_resolutions,), and the elastic
        blocks, float64 (num_resolutions, num_positions, num_kernel_sizes, num_expand_ratios).
    """
    num_positions = len(space.position_stages)
    shape = (len(space.resolutions), num_positions, len(space.kernel_sizes), len(space.expand_ratios))
    static, elastic = np.zeros(shape[0]), np.zeros(shape)
    num_before = 2 if space.first_channels else 1
    for r, resolution in enumerate(space.resolutions):
        for k, kernel_size in enumerate(space.kernel_sizes):
            for e, expand_ratio in enumerate(space.expand_ratios):
                arch = space.uniform_arch(resolution=resolution, kernel_size=kernel_size, expand_ratio=expand_ratio)
                chain = block_specs(space, arch)
                elastic[r, :, k, e] = [cost(spec) for spec in chain[num_before : num_before + num_positions]]
                static[r] = sum(cost(spec) for spec in chain[:num_before] + chain[num_before + num_positions :])
    return static, elastic


def sum_block_costs(
    space: SearchSpace,
    genes: Genes,
    costs: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> npt.NDArray[np.float64]:
    """Return the summed costs of the blocks of each architecture, float64 (n,), where `costs` is of `block_costs`."""
    static, elastic = costs
    resolutions = genes[:, 0]
    kernels, ratios = genes[:, space.first_position_gene :: 2], genes[:, space.first_position_gene + 1 :: 2]
    chosen = elastic[resolutions[:, None], np.arange(elastic.shape[1]), kernels, ratios]
    active = np.where(space.active_positions(genes), chosen, 0.0)
    totals: npt.NDArray[np.float64] = static[resolutions] + active.sum(axis=1)
    return totals


def unique_block_specs(space: SearchSpace, resolutions: tuple[int, ...] | None = None) -> tuple[BlockSpec, ...]:
    """Return each distinct block of the space once, in the order of the network, for all or the given resolutions.

    Raises:
        InvalidInputError: a resolution is not of this space.
    """
    unknown = sorted(set(resolutions or ()) - set(space.resolutions))
    if unknown:
        raise InvalidInputError(f"resolutions must be among {space.resolutions} in {space.name!r}; came {unknown}")
    chosen = dataclasses.replace(space, resolutions=tuple(sorted(set(resolutions)))) if resolutions else space
    found: dict[BlockSpec, None] = {}

    def note(spec: BlockSpec) -> float:
        found.setdefault(spec)
        return 0.0

    block_costs(chosen, note)
    return tuple(found)


def block_macs(spec: BlockSpec) -> int:
    """Return the multiply-accumulates of convolutions and linear layers on one image."""
    area_in, area_out = spec.input_size**2, spec.output_size**2
    if spec.kind == "conv":
        return area_out * spec.out_channels * spec.in_channels * spec.kernel_size**2
    if spec.kind == "classifier":
        return spec.in_channels * spec.out_channels
    if spec.kind == "head":
        if not spec.mid_channels:
            return area_in * spec.in_channels * spec.out_channels
        return area_in * spec.in_channels * spec.mid_channels + spec.mid_channels * spec.out_channels
    expand = area_in * spec.in_channels * spec.mid_channels if spec.kind == "mbconv" else 0
    depthwise = area_out * spec.mid_channels * spec.kernel_size**2
    return (
        expand + depthwise + 2 * spec.mid_channels * spec.se_channels + area_out * spec.mid_channels * spec.out_channels
    )


def block_params(spec: BlockSpec) -> int:
    """Return the learnt parameters, batch norm's scale and shift counted, its statistics not."""
    if spec.kind == "conv":
        return spec.out_channels * spec.in_channels * spec.kernel_size**2 + 2 * spec.out_channels
    if spec.kind == "classifier":
        return spec.in_channels * spec.out_channels + spec.out_channels
    if spec.kind == "head":
        if not spec.mid_channels:
            return spec.in_channels * spec.out_channels + 2 * spec.out_channels
        return spec.in_channels * spec.mid_channels + 2 * spec.mid_channels + spec.mid_channels * spec.out_channels
    expand = spec.in_channels * spec.mid_channels + 2 * spec.mid_channels if spec.kind == "mbconv" else 0
    depthwise = spec.mid_channels * spec.kernel_size**2 + 2 * spec.mid_channels
    squeeze = 2 * spec.mid_channels * spec.se_channels + spec.se_channels + spec.mid_channels if spec.use_se else 0
    return expand + depthwise + squeeze + spec.mid_channels * spec.out_channels + 2 * spec.out_channels


def block_peak_values(spec: BlockSpec) -> int:
    """Return the largest number of activation values that are alive at once in the block, for one image.

    At each layer its input, its output and, where there is a shortcut, the block's input are alive.
    """
    size_in = spec.in_channels * spec.input_size**2
    size_out = spec.out_channels * spec.output_size**2
    if spec.kind in ("conv", "classifier"):
        return size_in + size_out
    if spec.kind == "head":
        return size_in + (spec.mid_channels or spec.out_channels) * spec.input_size**2
    kept = size_in if spec.has_skip else 0
    expanded = spec.mid_channels * spec.input_size**2
    filtered = spec.mid_channels * spec.output_size**2
    at_expand = size_in + expanded if spec.kind == "mbconv" else 0
    at_depthwise = expanded + filtered + (kept if spec.kind == "mbconv" else 0)
    return max(at_expand, at_depthwise, filtered + size_out + kept)


def num_macs(space: SearchSpace, arch: ArchConfig) -> int:
    """Return the multiply-accumulates of `arch` on one image."""
    return sum(block_macs(spec) for spec in block_specs(space, arch))


def num_params(space: SearchSpace, arch: ArchConfig) -> int:
    """Return the learnt parameters of `arch` as a network of its own."""
    return sum(block_params(spec) for spec in block_specs(space, arch))
