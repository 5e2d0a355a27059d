"""Depthwise convolution whose weight gradient is quick on a CPU.

oneDNN computes the weight gradient of a depthwise convolution fast where the kernel has at most 3 columns, whatever its
height; wider kernels take it up to 30 times as long as the forward pass. Two other ways give the same gradient. One
cuts the kernel into strips of 3 columns and shifts the incoming gradient so that each strip is in the middle. The
other, for what strips do not cover, convolves each channel of each image with the gradient that came back to it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_KERNEL = 5
"""Smaller kernels are fast in oneDNN itself."""
LARGEST_OUTPUT = 6
"""Up to this output size in pixels the gradient as a convolution of maps is faster than oneDNN's own."""


def depthwise_conv(x_BCHW: Tensor, weight_C1KK: Tensor, stride: int, margin: int | None = None) -> Tensor:
    """Return the depthwise convolution (n, channels, h', w') of `x_BCHW`, padded by `margin` on every side.

    `margin` None is half the kernel, with which stride 1 keeps the size.

    Under autocast, for an input of another type than the weight, and on other devices it is torch's own, gradient too.
    """
    channels, _, kernel_size, _ = weight_C1KK.shape
    margin = kernel_size // 2 if margin is None else margin
    is_full = x_BCHW.is_cpu and x_BCHW.dtype == weight_C1KK.dtype and not torch.is_autocast_enabled("cpu")
    is_quick = _takes_strips(x_BCHW, kernel_size, stride) or x_BCHW.shape[-1] <= LARGEST_OUTPUT * stride
    if kernel_size >= SMALLEST_KERNEL and is_quick and is_full and weight_C1KK.requires_grad:
        y_BCHW: Tensor = _DepthwiseConv.apply(x_BCHW, weight_C1KK, stride, margin)
        return y_BCHW
    return F.conv2d(x_BCHW, weight_C1KK, None, stride, margin, 1, channels)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_C1KK: Tensor, stride: int, margin: int) -> Tensor:
        ctx.save_for_backward(x_BCHW, weight_C1KK)
        ctx.stride, ctx.margin = stride, margin
        return F.conv2d(x_BCHW, weight_C1KK, None, stride, margin, 1, len(weight_C1KK))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x_BCHW, weight_C1KK = ctx.saved_tensors
        kernel_size = weight_C1KK.shape[-1]
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _gradient(grad_BCHW, x_BCHW, weight_C1KK, ctx.stride, (ctx.margin, ctx.margin), 0)
        if ctx.needs_input_grad[1]:
            if _takes_strips(x_BCHW, kernel_size, ctx.stride):
                grad_weight = _gradient_by_strips(x_BCHW, grad_BCHW, kernel_size)
            else:
                grad_weight = _gradient_of_maps(x_BCHW, grad_BCHW, kernel_size, ctx.stride, ctx.margin)
        return grad_x, grad_weight, None, None


def _takes_strips(x_BCHW: Tensor, kernel_size: int, stride: int) -> bool:
    """Tell whether oneDNN is fast on the strips of a kernel of 5 or 7."""
    return stride == 1 and kernel_size <= min(7, *x_BCHW.shape[2:])


def _gradient_by_strips(x_BCHW: Tensor, grad_BCHW: Tensor, kernel_size: int) -> Tensor:
    """Return (channels, 1, kernel_size, kernel_size): the columns in the middle, and those up to 2 off on each side.

    With the gradient shifted by `move` columns, the taps at `move` - 1, `move` and `move` + 1 columns from the centre
    are the three of the strip. What is shifted over the edge matters only to the tap nearest to the centre, which is
    not taken from a strip beside the middle.
    """
    centre = kernel_size // 2
    strip = grad_BCHW.new_empty(grad_BCHW.shape[1], 1, kernel_size, 3)
    strips = {
        move: _gradient(F.pad(grad_BCHW, (move, -move)) if move else grad_BCHW, x_BCHW, strip, 1, (centre, 1), 1)
        for move in (-2, 0, 2)
    }
    return torch.cat([strips[-2][..., 3 - centre : 2], strips[0], strips[2][..., 1:centre]], dim=-1)


def _gradient_of_maps(x_BCHW: Tensor, grad_BCHW: Tensor, kernel_size: int, stride: int, margin: int) -> Tensor:
    """Return (channels, 1, kernel_size, kernel_size): every image's channels as channels of one image, then summed."""
    num, channels = x_BCHW.shape[:2]
    # Through HWBC, so that the one image with B x C channels is in channels-last order.
    as_image = x_BCHW.permute(2, 3, 0, 1).reshape(1, *x_BCHW.shape[2:], -1).permute(0, 3, 1, 2)
    as_kernels = grad_BCHW.permute(2, 3, 0, 1).reshape(1, *grad_BCHW.shape[2:], -1).permute(3, 0, 1, 2)
    taps = F.conv2d(as_image, as_kernels, None, 1, margin, stride, num * channels)
    # With a stride the output may have more rows and columns than the kernel has taps.
    return taps[0, :, :kernel_size, :kernel_size].reshape(num, channels, kernel_size, kernel_size).sum(0)[:, None]


def _gradient(
    grad_BCHW: Tensor, x_BCHW: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], place: int
) -> Tensor:
    """Return oneDNN's gradient of the input (`place` 0) or of the weight (1).

    torch.nn.grad has them too, but hides the memory order of the input: its gradient then comes in the slower one.
    """
    strides, dilation, no_padding = (stride, stride), (1, 1), (0, 0)
    wanted = [place == 0, place == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        grad_BCHW, x_BCHW, weight, None, strides, padding, dilation, False, no_padding, len(weight), wanted
    )[place]
    return found
