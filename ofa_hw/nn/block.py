"""Blocks as modules: the layers of a block's graph, run in the order of the graph."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.families import BlockGraph, BlockSpec, Layer, block_graph
from ofa_hw.families.graph import Add, GlobalMean, HardSigmoid, MaxPool, MeanPool, Multiply, Operation
from ofa_hw.nn.layers import activate, make_layer


class Block(nn.Module):
    """The block that `spec` describes: (n, in_channels, h, w) to (n, out_channels, h', w'), or (n, classes).

    Its layers and batch norms are submodules under the names that its family gives them.
    """

    def __init__(self, spec: BlockSpec, *, bn_eps: float = 1e-5, bn_momentum: float = 0.1) -> None:
        """Make the block, its weights as torch initialises them."""
        super().__init__()
        self.spec = spec
        for layer in block_graph(spec).layers:
            self._add(layer.name, make_layer(layer))
            if layer.norm:
                self._add(layer.norm, self.make_norm(layer.out_channels, eps=bn_eps, momentum=bn_momentum))

    make_norm: Callable[..., nn.Module] = nn.BatchNorm2d
    """The class of batch norms; the elastic block has another."""

    def extra_repr(self) -> str:
        """Return the key of the block's spec, for printing."""
        return self.spec.key

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output for `x_BCHW`."""
        return run_graph(block_graph(self.spec), x_BCHW, self.compute)

    def named_part(self, name: str) -> nn.Module:
        """Return the submodule of this name as it is now; faster than `get_submodule`."""
        module: nn.Module = self
        for part in name.split("."):
            module = module._modules[part]
        return module

    def compute(self, layer: Layer, x: Tensor) -> Tensor:
        """Return the output of `layer` for `x`, with its batch norm and activation."""
        y = self.named_part(layer.name)(x.flatten(1) if layer.is_linear else x)
        return activate(self.named_part(layer.norm)(y) if layer.norm else y, layer.activation)

    def _add(self, name: str, module: nn.Module) -> None:
        # A name may have dots, such as `se.conv_reduce`: what stands before them becomes plain modules.
        *folders, last = name.split(".")
        parent: nn.Module = self
        for folder in folders:
            if folder not in parent._modules:
                parent.add_module(folder, nn.Module())
            parent = parent._modules[folder]
        parent.add_module(last, module)


def build_block(spec: BlockSpec, *, bn_eps: float = 1e-5, bn_momentum: float = 0.1) -> nn.Module:
    """Return a new module of the block that `spec` describes, its weights as torch initialises them.

    Raises:
        InvalidInputError: the kind is unknown.
    """
    return Block(spec, bn_eps=bn_eps, bn_momentum=bn_momentum)


def run_graph(graph: BlockGraph, x: Tensor, apply: Callable[[Layer, Tensor], Tensor]) -> Tensor:
    """Return the output of `graph` for `x`, whose size may differ from the graph's; `apply` computes its layers."""
    values = {graph.source.name: x}
    for operation, dead in zip(graph.operations, graph.dead_after, strict=True):
        y = apply(operation, values[operation.source.name]) if isinstance(operation, Layer) else _run(operation, values)
        for name in dead:
            del values[name]
        values[operation.target.name] = y
    return values[graph.target.name]


def _run(operation: Operation, values: dict[str, Tensor]) -> Tensor:
    x = values[operation.source.name]
    match operation:
        case GlobalMean():
            return x if x.shape[2] == x.shape[3] == 1 else x.mean((2, 3), keepdim=True)
        case HardSigmoid():
            return F.hardsigmoid(x)
        case Multiply():
            return x * values[operation.other.name]
        case Add():
            return activate(x + values[operation.other.name], operation.activation)
        case MaxPool():
            return F.max_pool2d(x, 3, operation.stride, 1)
        case MeanPool():
            return F.avg_pool2d(x, operation.stride, operation.stride, 0, ceil_mode=True)
    raise AssertionError(operation)
