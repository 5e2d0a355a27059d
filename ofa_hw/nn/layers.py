"""What static and elastic blocks share: layers, activations, how weights begin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.families import Layer
from ofa_hw.families.graph import margins

Net = TypeVar("Net", bound=nn.Module)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda y: y,
    "relu": functools.partial(F.relu, inplace=True),
    "relu6": functools.partial(F.relu6, inplace=True),
    "h_swish": functools.partial(F.hardswish, inplace=True),
}


def activate(y: Tensor, name: str) -> Tensor:
    """Return the activation of this name of `y`, which it may overwrite: none, relu, relu6 or h_swish."""
    return _ACTIVATIONS[name](y)


def channels_last(net: Net) -> Net:
    """Return `net`, its weights changed in place to channels last, in which convolutions on a CPU are fastest."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def leading(tensor: Tensor, num: int, *, dim: int = 0) -> Tensor:
    """Return the first `num` entries of `tensor`; the tensor itself if these are all: a slice costs autograd time."""
    return tensor if tensor.shape[dim] == num else tensor.narrow(dim, 0, num)


def pad_same(x_BCHW: Tensor, kernel_size: int, stride: int) -> tuple[Tensor, int]:
    """Return the input with what SAME pads behind more than before, and what is left to pad on every side."""
    before, behind = margins(kernel_size, stride, x_BCHW.shape[-1], is_same=True)
    more = behind - before
    return F.pad(x_BCHW, (0, more, 0, more)) if more else x_BCHW, before


class SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the convolution, of the size that half the kernel on every side gives too."""
        x_BCHW, margin = pad_same(x_BCHW, self.kernel_size[0], self.stride[0])
        return F.conv2d(x_BCHW, self.weight, self.bias, self.stride, margin, 1, self.groups)


def make_layer(layer: Layer) -> nn.Module:
    """Return a convolution, padded so that stride 1 keeps the size, or a linear layer."""
    if layer.is_linear:
        return nn.Linear(layer.in_channels, layer.out_channels, bias=layer.has_bias)
    kind = SameConv2d if layer.is_same else nn.Conv2d
    return kind(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.kernel_size // 2,
        groups=layer.in_channels if layer.is_depthwise else 1,
        bias=layer.has_bias,
    )


def init_weights(module: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Initialise `module` in place: convolutions by He's fan-out rule, the linear layer by a uniform of its fan-in."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels // part.groups
            nn.init.normal_(part.weight, 0.0, (2.0 / fan_out) ** 0.5, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.zeros_(part.bias)
