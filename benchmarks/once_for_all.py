"""The supernet of PyPI's `ofa`, imported without what it declares, needs no more, or no longer finds.

It is no dependency: `pip install --no-deps ofa==0.1.0.post202307202001`. It imports torchvision and gdown for its data
loaders and downloads; here both are empty stand-ins in this process alone.
"""

from __future__ import annotations

import importlib
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


_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ofa-mobilenetv3-w1.0": ("OFAMobileNetV3", {"width_mult": 1.0}),
    "ofa-mobilenetv3-w1.2": ("OFAMobileNetV3", {"width_mult": 1.2}),
    "ofa-proxyless-w1.3": ("OFAProxylessNASNets", {"width_mult": 1.3}),
    "ofa-resnet50": (
        "OFAResNets",
        {"depth_list": [0, 1, 2], "expand_ratio_list": [0.2, 0.25, 0.35], "width_mult_list": [0.65, 0.8, 1.0]},
    ),
}
_OF_MOBILENETS = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}


def make_peer(space_name: str = "ofa-mobilenetv3-w1.0") -> nn.Module:
    """Return once-for-all's supernet of a space, its weights random."""
    name, choices = _NETWORKS[space_name]
    if name != "OFAResNets":
        choices = _OF_MOBILENETS | choices
    net: nn.Module = getattr(import_peer("ofa.imagenet_classification.elastic_nn.networks"), name)(
        **choices, dropout_rate=0
    )
    return net


def recalibrate(net: nn.Module, batches: list[Tensor]) -> None:
    """Take the statistics of the peer's active subnet anew, by the peer's way."""
    utils = import_peer("ofa.imagenet_classification.elastic_nn.utils")
    utils.set_running_statistics(net, [(x_BCHW, None) for x_BCHW in batches])


def import_peer(name: str) -> Any:
    """Return a module of `ofa`; the stand-ins are gone when it is there."""
    if name in sys.modules:
        return sys.modules[name]
    hidden = {name: sys.modules.pop(name) for name in _STAND_INS if name in sys.modules}
    for stand_in in _STAND_INS:
        parent, _, child = stand_in.rpartition(".")
        sys.modules[stand_in] = _StandIn(stand_in)
        sys.modules[stand_in].__path__ = []
        if parent:
            setattr(sys.modules[parent], child, sys.modules[stand_in])
    try:
        return importlib.import_module(name)
    finally:
        for stand_in in _STAND_INS:
            sys.modules.pop(stand_in, None)
        sys.modules.update(hidden)


def choose(net: nn.Module, arch: ArchConfig) -> None:
    """Make `arch` the active subnet of the peer `net`."""
    lists = arch.to_ofa()
    del lists["r"]
    net.set_active_subnet(**lists)


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
