"""Batch-norm statistics of one subnet, computed anew: the supernet's are a mixture over many subnets."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ofa_hw.errors import InvalidInputError
from ofa_hw.nn.supernet import Supernet
from ofa_hw.space import ArchConfig


def recalibrate_batch_norm(net: nn.Module, batches: Iterable[Tensor], arch: ArchConfig | None = None) -> None:
    """Replace, in place, the batch-norm statistics of `net` by those of `batches`, image tensors (n, channels, h, w).

    Each statistic is the mean over the batches, weighted by their sizes, of the batch means or of the biased batch
    variances; each batch is normalised by its own. Of a `Supernet` only the statistics that `arch` uses are written
    (None: the largest architecture).

    Raises:
        InvalidInputError: there is no batch.
    """
    if not isinstance(net, Supernet):
        _recalibrate(net, batches)
        return
    arch = arch or net.space.largest
    subnet = net.extract(arch)
    _recalibrate(subnet, batches)
    for block, (module, _) in zip(subnet, net.chain(arch), strict=True):
        for name, norm in block.named_modules():
            if isinstance(norm, nn.BatchNorm2d):
                whole = module.get_submodule(name)
                whole.running_mean[: norm.num_features] = norm.running_mean
                whole.running_var[: norm.num_features] = norm.running_var


@torch.no_grad()
def _recalibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    means = [torch.zeros_like(norm.running_mean) for norm in norms]
    variances = [torch.zeros_like(norm.running_var) for norm in norms]
    num_images = 0
    modes = [(module, module.training) for module in net.modules()]
    kept = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    counts = dict.fromkeys(norms, 0)

    def count_values(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        # Values for each channel: images times pixels.
        counts[norm] = inputs[0].numel() // inputs[0].shape[1]

    hooks = [norm.register_forward_hook(count_values) for norm in norms]
    try:
        net.train()
        for norm in norms:
            norm.momentum = 1.0  # the running statistics are then those of the last batch alone
        for x_BCHW in batches:
            net(x_BCHW)
            num_images += len(x_BCHW)
            for norm, mean, variance in zip(norms, means, variances, strict=True):
                mean.add_(norm.running_mean, alpha=len(x_BCHW))
                # torch keeps the unbiased variance; eval mode should see what the batch was normalised by.
                variance.add_(norm.running_var, alpha=len(x_BCHW) * (counts[norm] - 1) / counts[norm])
    finally:
        for hook in hooks:
            hook.remove()
        for norm, (momentum, num_batches_tracked) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(num_batches_tracked)
        for module, training in modes:
            module.training = training
    if not num_images:
        raise InvalidInputError("recalibration must have at least one batch of images; came none")
    for norm, mean, variance in zip(norms, means, variances, strict=True):
        norm.running_mean.copy_(mean / num_images)
        norm.running_var.copy_(variance / num_images)
