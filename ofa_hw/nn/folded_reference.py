"""The output of folded blocks, computed by torch: the reference that every runtime's model is checked against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.formats.operations import (
    Add,
    Conv,
    GlobalMean,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    MeanPool,
    Multiply,
    Operation,
    lower,
)

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda y: y, "relu": F.relu, "relu6": F.relu6}


def run_blocks(blocks: Sequence[FoldedBlock], x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the output of `blocks`, one after the other: BCHW, or (n, classes) behind a classifier."""
    return run_blocks_with_values(blocks, x_BCHW)[0]


def run_blocks_with_values(
    blocks: Sequence[FoldedBlock], x_BCHW: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.float32]]]:
    """Return the output of `blocks` and every value between its operations, by the names that `lower` gives them."""
    graph = lower(blocks)
    values = {graph.source.name: torch.from_numpy(x_BCHW)}
    with torch.no_grad():
        for operation in graph.operations:
            values[operation.target.name] = _run(operation, values)
    arrays = {name: value.numpy() for name, value in values.items()}
    return arrays[graph.target.name], arrays


def value_ranges(blocks: Sequence[FoldedBlock], x_BCHW: npt.NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest number in every value between the operations of `blocks`, for these images."""
    _, values = run_blocks_with_values(blocks, x_BCHW)
    return {name: (float(value.min()), float(value.max())) for name, value in values.items()}


def _run(operation: Operation, values: dict[str, Tensor]) -> Tensor:
    x = values[operation.source.name]
    match operation:
        case Conv():
            weight, bias = torch.from_numpy(operation.weight), torch.from_numpy(operation.bias)
            groups = operation.target.channels if operation.is_depthwise else 1
            x, margin = _padded(x, operation)
            y: Tensor = F.conv2d(x, weight, bias, operation.stride, margin, groups=groups)
            return _ACTIVATIONS[operation.activation](y)
        case HardSwish():
            return F.hardswish(x)
        case HardSigmoid():
            return F.hardsigmoid(x)
        case GlobalMean():
            return x.mean((2, 3), keepdim=True)
        case MaxPool():
            return F.max_pool2d(x, 3, operation.stride, 1)
        case MeanPool():
            return F.avg_pool2d(x, operation.stride, operation.stride, 0, ceil_mode=True)
        case Multiply():
            return x * values[operation.other.name]
        case Add():
            return _ACTIVATIONS[operation.activation](x + values[operation.other.name])
        case Linear():
            return F.linear(x.flatten(1), torch.from_numpy(operation.weight), torch.from_numpy(operation.bias))


def _padded(x: Tensor, conv: Conv) -> tuple[Tensor, int]:
    """Return the input with what is padded behind more than before, and what is left to pad on every side."""
    before, behind = conv.margins
    return F.pad(x, (0, behind - before, 0, behind - before)) if behind > before else x, before
