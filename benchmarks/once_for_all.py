"""The supernet of PyPI's `ofa`, imported without what it declares, needs no more, or no longer finds.

It is no dependency: `pip install --no-deps ofa==0.1.0.post202307202001`. It imports torchvision and gdown for its data
loaders and downloads; here both are empty stand-ins in this process alone.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofa_hw.space import ArchConfig

_STAND_INS = (
    "gdown",
    "torchvision",
    "torchvision.datasets",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


class _StandIn(types.ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def make_peer() -> nn.Module:
    """Return once-for-all's MobileNetV3 supernet of width 1.0, its weights random."""
    for name in _STAND_INS:
        parent, _, child = name.rpartition(".")
        sys.modules[name] = _StandIn(name)
        sys.modules[name].__path__ = []
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

    return OFAMobileNetV3(ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4], width_mult=1.0)


def choose(net: nn.Module, arch: ArchConfig) -> None:
    """Make `arch` the active subnet of the peer `net`."""
    lists = arch.to_ofa()
    net.set_active_subnet(ks=lists["ks"], e=lists["e"], d=lists["d"])


def cut_out(net: nn.Module, arch: ArchConfig) -> nn.Module:
    """Return `arch` as a network of its own, by the peer's way."""
    choose(net, arch)
    return net.get_active_subnet(preserve_weight=True)


def train_step(
    net: nn.Module,
    teacher: nn.Module | None,
    archs: list[ArchConfig],
    x_BCHW: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Take one step as its `train_one_epoch` does: one subnet after the other, gradients summed."""
    soft_labels = None
    if teacher is not None:
        with torch.no_grad():
            soft_labels = teacher(x_BCHW).softmax(1)
    optimizer.zero_grad()
    for arch in archs:
        choose(net, arch)
        logits = net(x_BCHW)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        if soft_labels is not None:
            loss = loss + F.cross_entropy(logits, soft_labels)
        loss.backward()
    optimizer.step()
