"""Subnets that share their first blocks, run as one tree: what they share is calibrated and computed once.

Batch statistics of a block depend on the images and on the blocks before it alone, so subnets of one resolution that
begin alike have them in common. The tree is walked depth first, a batch at a time: what is in memory at once are the
activations of one batch along one path, and the weights of the tree's blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ofa_hw.blocks import BlockSpec, block_layers
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.space import ArchConfig


class PrefixTree:
    """Architectures of one resolution as networks whose common first blocks are one.

    What a subnet gives depends on itself alone, to the bit: the tree it stands in only saves work.
    """

    @torch.no_grad()
    def __init__(self, net: Supernet, archs: Sequence[ArchConfig]) -> None:
        """Cut `archs` out of `net`; they are ready after `calibrate`."""
        self.num_archs = len(archs)
        self._root = _Node(nn.Identity(), None)
        self.num_blocks = 0
        for place, arch in enumerate(archs):
            node = self._root
            blocks = channels_last(net.extract(arch)).eval()
            for (module, spec), block in zip(net.chain(arch), blocks, strict=True):
                key = (id(module), spec)
                if key not in node.children:
                    node.children[key] = _Node(block, spec)
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
            for (conv_name, norm_name), listener in node.listeners.items():
                _fold(node.block, conv_name, norm_name, listener.settled())

    @torch.no_grad()
    def logits(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the logits (n, num_classes) of each architecture, in their order, for a batch of images."""
        found = dict(self._root.outputs(x_BCHW))
        return [found[place] for place in range(self.num_archs)]


class _Node:
    """A block after one path of blocks, and the blocks that come after it."""

    def __init__(self, block: nn.Module, spec: BlockSpec | None) -> None:
        self.block, self.spec = block, spec
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
        for layer in block_layers(self.spec) if self.spec else ():
            if layer.norm:
                norm = self.block.get_submodule(layer.norm)
                assert isinstance(norm, nn.BatchNorm2d)
                listener = self.listeners[layer.name, layer.norm] = _Listener(norm)
                self.block.set_submodule(layer.norm, listener)

    def observe(self, x_BCHW: Tensor) -> None:
        """Pass a batch to all listeners below."""
        for child in self.children.values():
            if child.listeners or child.children:
                child.observe(child.block(x_BCHW))

    def outputs(self, x_BCHW: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield the place of each architecture that ends below, with what it makes of the batch."""
        for child in self.children.values():
            y_BCHW = child.block(x_BCHW)
            yield from ((place, y_BCHW) for place in child.places)
            yield from child.outputs(y_BCHW)


class _Listener(nn.Module):
    """Stands for a batch norm while its statistics are taken: normalises each batch by its own, and adds them up."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm
        self.mean_sum, self.variance_sum = (torch.zeros_like(norm.weight) for _ in range(2))
        self.num_images = 0

    def forward(self, x_BCHW: Tensor) -> Tensor:
        # It gives mean and biased variance in one pass; torch.var_mean takes forty times as long in channels_last.
        mean, variance = torch.batch_norm_update_stats(x_BCHW, None, None, 0.0)
        self.mean_sum.add_(mean, alpha=len(x_BCHW))
        self.variance_sum.add_(variance, alpha=len(x_BCHW))
        self.num_images += len(x_BCHW)
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        shift = self.norm.bias - mean * scale
        return torch.addcmul(shift[:, None, None], x_BCHW, scale[:, None, None], out=x_BCHW)

    def settled(self) -> nn.BatchNorm2d:
        """Return the batch norm with the statistics of what came."""
        self.norm.running_mean.copy_(self.mean_sum / self.num_images)  # type: ignore[union-attr]
        self.norm.running_var.copy_(self.variance_sum / self.num_images)  # type: ignore[union-attr]
        return self.norm


def _fold(block: nn.Module, conv_name: str, norm_name: str, norm: nn.BatchNorm2d) -> None:
    """Fold `norm` into the convolution before it, and let what passes through its place be as it is."""
    conv = block.get_submodule(conv_name)
    assert isinstance(conv, nn.Conv2d)
    block.set_submodule(conv_name, channels_last(fuse_conv_bn_eval(conv, norm)))
    block.set_submodule(norm_name, nn.Identity())
