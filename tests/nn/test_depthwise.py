"""The quick gradient of depthwise convolutions is torch's own gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ofa_hw.nn.depthwise import LARGEST_OUTPUT, depthwise_conv
from ofa_hw.nn.layers import pad_same


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5, 8, 14, 2 * LARGEST_OUTPUT + 1])
def test_gradients_equal_those_of_torch(kernel_size: int, stride: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(3, 8, size, size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 1, kernel_size, kernel_size, generator=generator, dtype=torch.float64, requires_grad=True)
    ours = depthwise_conv(x_BCHW, weight, stride)
    expected = F.conv2d(x_BCHW, weight, None, stride, kernel_size // 2, 1, 8)
    torch.testing.assert_close(ours, expected)
    grad = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for found, wanted in zip(
        torch.autograd.grad(ours, (x_BCHW, weight), grad),
        torch.autograd.grad(expected, (x_BCHW, weight), grad),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("size", [4, 8, 7, 20])
def test_gradients_of_same_padding_equal_those_of_torch(kernel_size: int, size: int) -> None:
    """What TensorFlow's SAME pads at stride 2, worked out from its definition."""
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(3, 8, size, size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 1, kernel_size, kernel_size, generator=generator, dtype=torch.float64, requires_grad=True)
    padded, margin = pad_same(x_BCHW, kernel_size, 2)
    ours = depthwise_conv(padded, weight, 2, margin)
    total = max((-(-size // 2) - 1) * 2 + kernel_size - size, 0)
    before, behind = total // 2, total - total // 2
    expected = F.conv2d(F.pad(x_BCHW, (before, behind, before, behind)), weight, None, 2, 0, 1, 8)
    torch.testing.assert_close(ours, expected)
    grad = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for found, wanted in zip(
        torch.autograd.grad(ours, (x_BCHW, weight), grad),
        torch.autograd.grad(expected, (x_BCHW, weight), grad),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("size", [3, 8])
def test_gradients_come_in_half_precision_too(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(3, 8, size, size, generator=generator, requires_grad=True)
    weight = torch.randn(8, 1, 7, 7, generator=generator, requires_grad=True)
    wanted = torch.autograd.grad(depthwise_conv(x_BCHW, weight, 1).square().sum(), (x_BCHW, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = depthwise_conv(x_BCHW, weight, 1).float().square().sum()
    for found, exact in zip(torch.autograd.grad(loss, (x_BCHW, weight)), wanted, strict=True):
        torch.testing.assert_close(found, exact, rtol=0.1, atol=0.05 * float(exact.std()))
