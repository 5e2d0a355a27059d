"""Batch norm over the images of several processes, with the gradient that one process would have on all of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofa_hw.nn.batch_norm import ElasticBatchNorm2d


def synchronise_norms(net: nn.Module, group: dist.ProcessGroup) -> None:
    """Let every elastic batch norm of `net` take its statistics in training over the processes of `group`.

    Every process must bring the same number of images. A group is for one thread: two threads that met at different
    batch norms of it would mix up their exchanges.
    """
    for module in net.modules():
        if isinstance(module, ElasticBatchNorm2d):
            module.over_processes = _OverProcesses(group)


class _OverProcesses:
    """Batch norm in training over the processes of a group; moves the running statistics."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group

    def __call__(
        self,
        x_BCHW: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        scale: Tensor,
        shift: Tensor,
        *,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y_BCHW, mean, variance = _BatchNorm.apply(x_BCHW, scale, shift, eps, self.group)
        count = self.group.size() * x_BCHW.numel() // x_BCHW.shape[1]
        running_mean.lerp_(mean, momentum)
        # Running variances are unbiased, as those of F.batch_norm.
        running_var.lerp_(variance * (count / (count - 1)), momentum)
        return y_BCHW


class _BatchNorm(torch.autograd.Function):
    """Normalise by the mean and the biased variance over all processes; return them beside the result."""

    @staticmethod
    def forward(
        ctx: Any, x_BCHW: Tensor, scale: Tensor, shift: Tensor, eps: float, group: dist.ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Mean and biased variance in one pass over the images of this process.
        own = torch.stack(torch.batch_norm_update_stats(x_BCHW, None, None, 0.0)).float()
        parts = [torch.empty_like(own) for _ in range(group.size())]
        dist.all_gather(parts, own, group=group)
        means, variances = torch.stack(parts).unbind(1)
        mean = means.mean(0)
        # The variance within processes plus that between them; right because each has as many images.
        variance = (variances + (means - mean).square()).mean(0)
        inverse_std = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x_BCHW, scale, mean, inverse_std)
        ctx.group = group
        ctx.mark_non_differentiable(mean, variance)
        factor = scale * inverse_std
        y_BCHW = torch.addcmul(_wide(shift - mean * factor), x_BCHW, _wide(factor)).to(x_BCHW.dtype)
        return y_BCHW, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, scale, mean, inverse_std = ctx.saved_tensors
        normed_BCHW = torch.addcmul(_wide(-mean * inverse_std), x_BCHW, _wide(inverse_std))
        own = torch.stack([grad_BCHW.float().sum((0, 2, 3)), (grad_BCHW * normed_BCHW).sum((0, 2, 3))])
        # The gradient of the input needs the sums over all processes. Those of scale and shift stay this process's own:
        # the learner averages gradients over processes afterwards.
        whole = own.clone()
        dist.all_reduce(whole, group=ctx.group)
        grad_mean, grad_slope = whole / (ctx.group.size() * x_BCHW.numel() // x_BCHW.shape[1])
        grad_x = (grad_BCHW - _wide(grad_mean) - normed_BCHW * _wide(grad_slope)) * _wide(scale * inverse_std)
        return grad_x.to(x_BCHW.dtype), own[1], own[0], None, None


def _wide(values_C: Tensor) -> Tensor:
    return values_C[:, None, None]
