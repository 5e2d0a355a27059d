"""Channels put in a new order, in place: those that matter first, before smaller widths are opened."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def channel_tensors(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the tensors of a batch norm that have an entry for each channel."""
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


def order_in_bands(importance: Tensor, bounds: tuple[int, ...]) -> Tensor:
    """Return the channels by falling importance within each band; `bounds` rise and end with the number of channels."""
    starts = (0, *bounds[:-1])
    bands = [
        start + torch.argsort(importance[start:end], descending=True, stable=True)
        for start, end in zip(starts, bounds, strict=True)
    ]
    return torch.cat(bands)


def permute(tensor: Tensor, order: Tensor, *, dim: int = 0) -> None:
    """Put the entries of `tensor` along `dim` into `order`, in place."""
    tensor.data.copy_(tensor.data.index_select(dim, order))
