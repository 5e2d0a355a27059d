"""The supernet: one network that holds every architecture of a space."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec, block_specs, blocks_before
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import family_of
from ofa_hw.nn.assembly import assemble_block
from ofa_hw.nn.elastic import ElasticBlock
from ofa_hw.nn.layers import init_weights
from ofa_hw.nn.published_weights import classifier_names, from_published, kernel_transforms, read_published
from ofa_hw.space import ArchConfig, SearchSpace


class Supernet(nn.Module):
    """Every architecture of `space` in one set of weights (arXiv 1908.09791).

    Its parts are the blocks of the largest architecture. Every architecture passes through `before` and `after`, and
    through the first blocks of each of the `stages`, as many as its depth. Weights start by He's fan-out rule, the
    classifier's uniformly, drawn from `generator`.
    """

    def __init__(self, space: SearchSpace, *, generator: torch.Generator | None = None) -> None:
        """Make the supernet of `space`, on the CPU, in float32."""
        super().__init__()
        self.space = space
        specs = block_specs(space, space.largest)
        num_before, num_positions = len(blocks_before(space, space.largest.resolution)), len(space.position_stages)
        norms = {"bn_eps": space.bn_eps, "bn_momentum": space.bn_momentum}
        self.before = nn.ModuleList(ElasticBlock(spec, **norms) for spec in specs[:num_before])
        positions = zip(specs[num_before : num_before + num_positions], space.position_values, strict=True)
        # One iterator over all positions, from which each stage takes as many as its greatest depth.
        blocks = (ElasticBlock(spec, values=values, **norms) for spec, values in positions)
        self.stages = nn.ModuleList(
            nn.ModuleList(itertools.islice(blocks, max(space.stage_depths(stage))))
            for stage in range(len(space.stages))
        )
        self.after = nn.ModuleList(ElasticBlock(spec, **norms) for spec in specs[num_before + num_positions :])
        init_weights(self, generator=generator)

    def chain(self, arch: ArchConfig) -> Iterator[tuple[ElasticBlock, BlockSpec]]:
        """Yield the modules that `arch` passes through, each with the block that it acts as.

        Raises:
            InvalidInputError: `arch` is not of this space.
        """
        specs = block_specs(self.space, arch)
        active = [
            block for blocks, choices in zip(self.stages, arch.stages, strict=True) for block in blocks[: len(choices)]
        ]
        yield from zip((*self.before, *active, *self.after), specs, strict=True)

    def forward(self, x_BCHW: Tensor, arch: ArchConfig | None = None) -> Tensor:
        """Return the logits (n, num_classes) of `arch` (None: the largest) for images (n, in_channels, h, w).

        The images should have the size `arch.resolution`; other sizes work too.

        Raises:
            InvalidInputError: `arch` is not of this space.
        """
        for module, spec in self.chain(arch or self.space.largest):
            x_BCHW = module(x_BCHW, spec)
        return x_BCHW

    @torch.no_grad()
    def extract(self, arch: ArchConfig) -> nn.Sequential:
        """Return `arch` as a network of its own with copies of the weights; in eval mode both give equal outputs."""
        subnet = nn.Sequential(*(self.cut(module, spec) for module, spec in self.chain(arch)))
        subnet.training = self.training  # the blocks have it already
        return subnet

    @torch.no_grad()
    def cut(self, module: ElasticBlock, spec: BlockSpec) -> nn.Module:
        """Return the block `spec` of a `chain` on its own, with copies of the weights of `module`."""
        form = {"bn_eps": self.space.bn_eps, "bn_momentum": self.space.bn_momentum, "training": self.training}
        return assemble_block(spec, module.weights_at(spec), **form)

    def twin(self) -> Supernet:
        """Return a supernet on the same weights in memory, with statistics and a place in autograd of its own.

        Two threads must not share a parameter that requires a gradient: torch takes its lock and Python's in either
        order, so that they may deadlock. Twins share only the numbers.
        """
        # deepcopy's memo: where it meets a parameter it takes the alias, which shares the memory.
        aliases = {id(parameter): nn.Parameter(parameter.data) for parameter in self.parameters()}
        return copy.deepcopy(self, aliases)

    def start_alike(self) -> None:
        """Change the new weights, in place, so that all kernel sizes and depths of a stage compute the same.

        The shared weights then suit all of them from the first step. A block with a shortcut begins as the shortcut,
        the scale of its last batch norm 0 (arXiv 2003.11142, section 3); a kernel is 0 outside its smallest size.
        Networks of different widths still differ. `benchmarks/strategies.py` compares training with and without it.
        """
        for stage in self.stages:
            for block in stage:
                block.start_alike()

    def sort_channels(self, stage: int = 0) -> None:
        """Order the hidden channels of every elastic block by importance, in place, before widths open.

        `stage` is the number of widths below the largest that are trained already. With 0 all channels are sorted
        together; with 1 those of the second largest expand ratio and the remaining ones are sorted separately, and so
        on, so that trained widths keep their channels. The largest architecture computes the same as before.

        Raises:
            InvalidInputError: `stage` is not 0 to the number of expand ratios - 1.
        """
        num_ratios = self.space.max_num_values(of_kernels=False)
        if not 0 <= stage < num_ratios:
            raise InvalidInputError(f"stage must be 0 to {num_ratios - 1}; came {stage}")
        for (module, spec), values in zip(self._positions(), self.space.position_values, strict=True):
            ratios = values.get("expand_ratio", (1,))[-1 - stage :]
            widths = [family_of(spec).hidden_channels(spec.in_channels, spec.out_channels, ratio) for ratio in ratios]
            module.sort_channels(tuple(widths))

    def _positions(self) -> list[tuple[ElasticBlock, BlockSpec]]:
        """Return the modules of the stages, each with its largest form."""
        return list(self.chain(self.space.largest))[len(self.before) : -len(self.after)]

    def load_published(self, state: Mapping[str, Any] | str | Path) -> None:
        """Take the weights of a once-for-all checkpoint of the same space, by its published key names.

        A plain network, which has no transforms of kernels at all, is taken as the largest one; the centre of a kernel
        is then its smaller kernel.

        `state` is the state dict, or the dict of a published file that holds it below `state_dict`, or the path of a
        file of either, written by torch or as safetensors.

        Raises:
            InvalidInputError: naming the keys that are missing or left over, or a shape that differs; or telling that
                the numbers of classes do, or that the file is damaged.
            OSError: the file cannot be read.
        """
        if isinstance(state, str | Path):
            state = read_published(state)
        ours = from_published(self.space, state)
        theirs = dict(zip(ours, state.get("state_dict", state), strict=True))
        expected = self.state_dict()
        transforms = kernel_transforms(expected)
        if not transforms & ours.keys():
            ours |= {key: expected[key] for key in transforms}  # each begins as the identity
        missing, extra = expected.keys() - ours.keys(), [theirs[key] for key in ours.keys() - expected.keys()]
        shapes = [key for key in expected.keys() & ours.keys() if expected[key].shape != ours[key].shape]
        if set(shapes) == set(classifier_names(self.space)) and not missing and not extra:
            num_classes = len(ours[shapes[0]])
            raise InvalidInputError(
                f"the checkpoint has {num_classes} classes, {self.space.name!r} has {self.space.num_classes}; make the "
                f"space with num_classes={num_classes}, or a run by `ofa-hw import-checkpoint`"
            )
        if missing or extra or shapes:
            faults = [
                f"{len(keys)} {what} (the first is {min(keys)})"
                for what, keys in (("missing", missing), ("unknown", extra), ("of another shape", shapes))
                if keys
            ]
            raise InvalidInputError(
                f"the checkpoint must hold the weights of {self.space.name!r}; keys: {', '.join(faults)}"
            )
        self.load_state_dict(ours)
