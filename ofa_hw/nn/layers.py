"""Layers that static and elastic blocks share."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.errors import InvalidInputError

Net = TypeVar("Net", bound=nn.Module)


def make_activation(name: str) -> nn.Module:
    """Return the activation of this name: relu, relu6 or h_swish."""
    makers = {"relu": nn.ReLU, "relu6": nn.ReLU6, "h_swish": nn.Hardswish}
    if name not in makers:
        raise InvalidInputError(f"activation must be one of {', '.join(makers)}; came {name!r}")
    return makers[name](inplace=True)


def channels_last(net: Net) -> Net:
    """Return `net`, its weights in place in the memory order that convolutions on a CPU are fastest in."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def leading(tensor: Tensor, num: int, *, dim: int = 0) -> Tensor:
    """Return the first `num` entries of `tensor`; where these are all, the tensor itself: autograd pays for a slice."""
    return tensor if tensor.shape[dim] == num else tensor.narrow(dim, 0, num)


def make_conv(in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)


def make_depthwise(channels: int, kernel_size: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a depthwise convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(channels, channels, kernel_size, stride, kernel_size // 2, groups=channels, bias=False)


class SqueezeExcite(nn.Module):
    """Scale channels by a gate that their global means decide (MobileNetV3, arXiv 1905.02244, section 5.3).

    The gate is relu6(x + 3) / 6; both 1x1 convolutions have biases.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        """Make the gate for (n, `channels`, h, w) inputs."""
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, hidden_channels, 1)
        self.conv_expand = nn.Conv2d(hidden_channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the input, each channel scaled by its gate."""
        squeezed = F.relu(self.conv_reduce(x_BCHW.mean((2, 3), keepdim=True)), inplace=True)
        return x_BCHW * F.hardsigmoid(self.conv_expand(squeezed))


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
