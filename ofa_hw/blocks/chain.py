"""The chain of blocks of an architecture, from the image to the logits."""

from __future__ import annotations

from collections.abc import Sequence

from ofa_hw.blocks.size import block_macs, block_params
from ofa_hw.families import BlockSpec, get_family
from ofa_hw.families.graph import SAME_PADDING
from ofa_hw.families.registry import CLASSIFIER, FIRST, STEM
from ofa_hw.space import ArchConfig, BlockChoice, SearchSpace


def block_specs(space: SearchSpace, arch: ArchConfig) -> tuple[BlockSpec, ...]:
    """Return the blocks of `arch` from the image to the logits.

    In order: the stem and the static block where the space has them, the active blocks of each stage, the head where
    there is one, the classifier.

    Raises:
        InvalidInputError: `arch` is not of this space.
    """
    space.validate(arch)
    chain = list(blocks_before(space, arch.resolution))
    size, channels = output_of(chain, space, arch.resolution)
    ratios = arch.width_ratios or (1,) * len(space.stages)
    for stage, (choices, ratio) in enumerate(zip(arch.stages, ratios, strict=True)):
        for rank, choice in enumerate(choices):
            chain.append(stage_block(space, stage, rank, choice, size=size, in_channels=channels, width_ratio=ratio))
            size, channels = chain[-1].output_size, chain[-1].out_channels
    return (*chain, *blocks_after(space, size=size, in_channels=channels))


def blocks_before(space: SearchSpace, resolution: int) -> tuple[BlockSpec, ...]:
    """Return the static blocks before the stages: the stem and the block behind it, where the space has them."""
    if not space.stem_channels:
        return ()
    channels = space.width(space.stem_channels)
    stem = BlockSpec(
        kind=STEM,
        input_size=resolution,
        in_channels=space.in_channels,
        mid_channels=0,
        out_channels=channels,
        kernel_size=3,
        stride=space.stem_stride,
        activation=space.stem_activation,
        use_se=False,
        has_skip=False,
        attributes=_padding(space, space.stem_stride),
    )
    if not space.first_channels:
        return (stem,)
    out_channels = space.width(space.first_channels)
    first = BlockSpec(
        kind=FIRST,
        input_size=stem.output_size,
        in_channels=channels,
        mid_channels=channels,
        out_channels=out_channels,
        kernel_size=3,
        stride=1,
        activation=space.first_activation,
        use_se=False,
        has_skip=channels == out_channels,
    )
    return stem, first


def stage_block(
    space: SearchSpace, stage: int, rank: int, choice: BlockChoice, *, size: int, in_channels: int, width_ratio: float
) -> BlockSpec:
    """Return the block at place `rank` of a stage, on an input of `size` pixels.

    Where stages choose their widths, the first block of a stage never adds its input: otherwise the network would have
    another shape where two chosen widths happen to be equal.
    """
    spec = space.stages[stage]
    out_channels = space.width(spec.out_channels, width_ratio)
    stride = spec.stride if rank == 0 else 1
    is_alike = rank > 0 or not space.has_elastic_width
    family = get_family(spec.kind)
    # A family without one of these choices has blocks with the neutral value.
    ratio = choice.get("expand_ratio", 1)
    return BlockSpec(
        kind=spec.kind,
        input_size=size,
        in_channels=in_channels,
        mid_channels=family.hidden_channels(in_channels, out_channels, ratio),
        out_channels=out_channels,
        kernel_size=int(choice.get("kernel_size", 1)),
        stride=stride,
        activation=spec.activation,
        use_se=spec.use_se,
        has_skip=stride == 1 and in_channels == out_channels and is_alike and spec.use_skip and family.can_skip,
        attributes=(
            *((name, value) for name, value in choice.items() if name not in _FIELDS),
            *_padding(space, stride),
        ),
    )


def _padding(space: SearchSpace, stride: int) -> tuple[tuple[str, float], ...]:
    """Return the attribute of a block of this stride; without a stride both ways of padding are the same."""
    return ((SAME_PADDING, 1),) if space.padding == "same" and stride > 1 else ()


_FIELDS = ("kernel_size", "expand_ratio")
"""The choices that fields of a `BlockSpec` hold; those of other names are its attributes."""


def blocks_after(space: SearchSpace, *, size: int, in_channels: int) -> tuple[BlockSpec, ...]:
    """Return the blocks behind the stages, on an input of `size` pixels: a head where there is one, the classifier."""
    head: tuple[BlockSpec, ...] = ()
    if space.head_channels:
        head = (
            BlockSpec(
                kind=space.head_kind,
                input_size=size,
                in_channels=in_channels,
                mid_channels=space.width(space.head_expand_channels) if space.head_expand_channels else 0,
                out_channels=space.width(space.head_channels),
                kernel_size=1,
                stride=1,
                activation=space.head_activation,
                use_se=False,
                has_skip=False,
            ),
        )
    classifier = BlockSpec(
        kind=CLASSIFIER,
        # A head ends in the global mean; without one the classifier pools the last stage itself.
        input_size=1 if head else size,
        in_channels=head[0].out_channels if head else in_channels,
        mid_channels=0,
        out_channels=space.num_classes,
        kernel_size=1,
        stride=1,
        activation="none",
        use_se=False,
        has_skip=False,
    )
    return *head, classifier


def output_of(chain: Sequence[BlockSpec], space: SearchSpace, resolution: int) -> tuple[int, int]:
    """Return the size in pixels and the channels that come out of `chain`, of the image where it is empty."""
    return (chain[-1].output_size, chain[-1].out_channels) if chain else (resolution, space.in_channels)


def num_macs(space: SearchSpace, arch: ArchConfig) -> int:
    """Return the multiply-accumulates of `arch` on one image."""
    return sum(block_macs(spec) for spec in block_specs(space, arch))


def num_params(space: SearchSpace, arch: ArchConfig) -> int:
    """Return the learnt parameters of `arch` as a network of its own."""
    return sum(block_params(spec) for spec in block_specs(space, arch))
