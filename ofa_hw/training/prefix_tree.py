"""Subnets that share their first blocks, run as one tree: what they share is calibrated and computed once.

The batch statistics of a block depend only on the images and on the blocks before it, so that subnets of one resolution
which begin with the same blocks share them. The tree is walked depth first, a batch at a time: memory holds the
activations of one batch along one path, and the weights of the tree's blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError

import torch
from torch import Tensor, nn

from ofa_hw.blocks import BlockSpec, block_graph
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.space import ArchConfig


class PrefixTree:
    """Architectures of one resolution as networks that share the modules of their common first blocks.

    The output of a subnet does not depend on the others in the tree, to the bit: sharing only saves work.
    """

    @torch.no_grad()
    def __init__(self, net: Supernet, archs: Sequence[ArchConfig], stop: threading.Event | None = None) -> None:
        """Cut `archs` out of `net`; they are ready after `calibrate`.

        Once `stop` is set, whatever is computed ends before the next block with CancelledError.
        """
        self.num_archs = len(archs)
        stop = stop or threading.Event()
        self._root = _Node(nn.Identity(), None, stop)
        self.num_blocks = 0
        for place, arch in enumerate(archs):
            node = self._root
            for module, spec in net.chain(arch):
                # The same block of the supernet, acting as the same spec.
                key = (id(module), spec)
                if key not in node.children:
                    node.children[key] = _Node(channels_last(net.cut(module, spec)).eval(), spec, stop)
                    self.num_blocks += 1
                node = node.children[key]
            node.places.append(place)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Take all batch-norm statistics from `batches` as `recalibrate_batch_norm` does, and fold them away.

        Raises:
            InvalidInputError: there is no batch.
        """
        nodes = list(self._root.below())
        for node in nodes:
            node.listen()
        num_images = 0
        for x_BCHW in batches:
            self._root.observe(x_BCHW)
            num_images += len(x_BCHW)
        if not num_images:
            raise InvalidInputError("recalibration must have at least one batch of images; came none")
        for node in nodes:
            node.settle()

    @torch.no_grad()
    def logits(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the logits (n, num_classes) of each architecture, in their order, for a batch of images."""
        found = dict(self._root.outputs(x_BCHW))
        return [found[place] for place in range(self.num_archs)]


class _Node:
    """A block at the end of one path of blocks; its children are the blocks that follow it."""

    def __init__(self, block: nn.Module, spec: BlockSpec | None, stop: threading.Event) -> None:
        self.block, self.spec, self.stop = block, spec, stop
        self.children: dict[object, _Node] = {}
        self.places: list[int] = []
        self.listeners: dict[tuple[str, str], _Listener] = {}

    def below(self) -> Iterator[_Node]:
        """Yield every node of the tree below."""
        for child in self.children.values():
            yield child
            yield from child.below()

    def listen(self) -> None:
        """Put a listener in the place of each batch norm of the block."""
        for layer in block_graph(self.spec).layers if self.spec else ():
            if layer.norm:
                norm = self.block.get_submodule(layer.norm)
                assert isinstance(norm, nn.BatchNorm2d)
                listener = self.listeners[layer.name, layer.norm] = _Listener(norm)
                self.block.set_submodule(layer.norm, listener)

    def settle(self) -> None:
        """Fold each batch norm, with the statistics of its listener, into the convolution before it."""
        for (conv_name, norm_name), listener in self.listeners.items():
            conv = self.block.get_submodule(conv_name)
            assert isinstance(conv, nn.Conv2d)
            listener.fold_into(conv)
            self.block.set_submodule(norm_name, nn.Identity())

    def run(self, x_BCHW: Tensor) -> Tensor:
        """Return what the block makes of a batch; CancelledError where the work was stopped."""
        if self.stop.is_set():
            raise CancelledError
        y_BCHW: Tensor = self.block(x_BCHW)
        return y_BCHW

    def observe(self, x_BCHW: Tensor) -> None:
        """Pass a batch to all listeners below."""
        for child in self.children.values():
            # A block that has no batch norm and nothing behind it, the classifier, need not run.
            if child.listeners or child.children:
                child.observe(child.run(x_BCHW))

    def outputs(self, x_BCHW: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield the place of each architecture that ends below, with what it makes of the batch."""
        for child in self.children.values():
            y_BCHW = child.run(x_BCHW)
            yield from ((place, y_BCHW) for place in child.places)
            yield from child.outputs(y_BCHW)


class _Listener(nn.Module):
    """Stands for a batch norm while its statistics are taken: normalises each batch by its own, and keeps them."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm
        self.statistics: list[tuple[int, Tensor, Tensor]] = []

    def forward(self, x_BCHW: Tensor) -> Tensor:
        # Mean and biased variance in one pass; torch.var_mean takes forty times as long in channels_last.
        mean, variance = torch.batch_norm_update_stats(x_BCHW, None, None, 0.0)
        self.statistics.append((len(x_BCHW), mean, variance))
        scale, shift = self._line(mean, variance)
        # In place: the input is the fresh output of a convolution, which nothing else reads.
        return torch.addcmul(shift[:, None, None], x_BCHW, scale[:, None, None], out=x_BCHW)

    def fold_into(self, conv: nn.Conv2d) -> None:
        """Let `conv`, in place, do what it and the batch norm with the statistics of all batches do."""
        num_images = sum(num for num, _, _ in self.statistics)
        mean = torch.stack([num * mean for num, mean, _ in self.statistics]).sum(0) / num_images
        variance = torch.stack([num * variance for num, _, variance in self.statistics]).sum(0) / num_images
        scale, shift = self._line(mean, variance)
        conv.weight.mul_(scale[:, None, None, None])
        conv.bias = nn.Parameter(shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale))

    def _line(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift of the batch norm with these statistics."""
        scale = (variance + self.norm.eps).rsqrt_().mul_(self.norm.weight)
        return scale, torch.addcmul(self.norm.bias, mean, scale, value=-1)
