"""Batch norm of a supernet: sliced to the channels that come."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.nn.layers import leading


class ElasticBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose first channels act on an input that has fewer; in training only their statistics are updated.

    `over_processes`, where it is set, replaces `F.batch_norm` in training: it takes the statistics over the images of
    several processes (see `synchronised`).
    """

    over_processes: Callable[..., Tensor] | None = None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the normalised input, of the same shape."""
        channels = x_BCHW.shape[1]
        scale, shift = leading(self.weight, channels), leading(self.bias, channels)
        if not self.training:
            mean, var = leading(self.running_mean, channels), leading(self.running_var, channels)
            return F.batch_norm(x_BCHW, mean, var, scale, shift, False, 0.0, self.eps)
        # F.batch_norm updates running statistics in place but leaves this counter to the module.
        self.num_batches_tracked.add_(1)
        mean, var = leading(self.running_mean, channels), leading(self.running_var, channels)
        if self.over_processes is not None:
            return self.over_processes(x_BCHW, mean, var, scale, shift, momentum=self.momentum, eps=self.eps)
        return F.batch_norm(x_BCHW, mean, var, scale, shift, True, self.momentum, self.eps)
