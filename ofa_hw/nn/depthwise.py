"""Depthwise convolution whose weight gradient is quick on a CPU.

oneDNN has a fast weight gradient of depthwise convolutions for kernels of 3; for 7 it takes up to 30 times as long as
the forward pass. The same gradient is itself a depthwise convolution, of each image's channel with the gradient that
came back to it, which the forward kernel does well as long as the maps are small.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_KERNEL = 7
LARGEST_OUTPUT = 8
"""From this kernel and up to this output size in pixels the gradient as a convolution is faster than oneDNN's own."""


def depthwise_conv(x_BCHW: Tensor, weight_C1KK: Tensor, stride: int) -> Tensor:
    """Return the depthwise convolution (n, channels, h', w') of `x_BCHW`, padded so that stride 1 keeps the size."""
    channels, _, kernel_size, _ = weight_C1KK.shape
    is_quick = kernel_size >= SMALLEST_KERNEL and x_BCHW.shape[-1] <= LARGEST_OUTPUT * stride
    if x_BCHW.is_cpu and weight_C1KK.requires_grad and is_quick:
        y_BCHW: Tensor = _DepthwiseConv.apply(x_BCHW, weight_C1KK, stride)
        return y_BCHW
    return F.conv2d(x_BCHW, weight_C1KK, None, stride, kernel_size // 2, 1, channels)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_C1KK: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x_BCHW, weight_C1KK)
        ctx.stride = stride
        channels, _, kernel_size, _ = weight_C1KK.shape
        return F.conv2d(x_BCHW, weight_C1KK, None, stride, kernel_size // 2, 1, channels)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_BCHW, weight_C1KK = ctx.saved_tensors
        channels, _, kernel_size, _ = weight_C1KK.shape
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.nn.grad.conv2d_input(
                x_BCHW.shape, weight_C1KK, grad_BCHW, ctx.stride, kernel_size // 2, 1, channels
            )
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x_BCHW, grad_BCHW, kernel_size, ctx.stride)
        return grad_x, grad_weight, None


def _weight_gradient(x_BCHW: Tensor, grad_BCHW: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Return (channels, 1, kernel_size, kernel_size): every image's channels as channels of one image, then summed."""
    num, channels = x_BCHW.shape[:2]
    as_image = x_BCHW.permute(2, 3, 0, 1).reshape(1, *x_BCHW.shape[2:], -1).permute(0, 3, 1, 2)
    as_kernels = grad_BCHW.permute(2, 3, 0, 1).reshape(1, *grad_BCHW.shape[2:], -1).permute(3, 0, 1, 2)
    taps = F.conv2d(as_image, as_kernels, None, 1, kernel_size // 2, stride, num * channels)
    return taps[0, :, :kernel_size, :kernel_size].reshape(num, channels, kernel_size, kernel_size).sum(0)[:, None]
