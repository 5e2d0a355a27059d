"""timm's networks as references: where torchvision's compiled operators are missing, two of them are declared first."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import pytest
import torch


def import_timm() -> Any:
    """The package timm; the test is skipped where it is not installed."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms(Tensor dets) -> Tensor"):
        with contextlib.suppress(RuntimeError):  # declared already: torchvision itself is there
            library.define(schema)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "timm", reason="timm is not installed: pip install --no-deps timm torchvision", exc_type=ImportError
        )


def randomised(net: torch.nn.Module) -> torch.nn.Module:
    """The network in eval mode, its batch norms no longer those that it starts with."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor, least in (
                    (module.weight, 0.5),
                    (module.running_var, 0.5),
                    (module.bias, -0.2),
                    (module.running_mean, -0.2),
                ):
                    tensor.copy_(least + torch.rand(tensor.shape, generator=generator) * (1 if least > 0 else 0.4))
    return net.eval()
