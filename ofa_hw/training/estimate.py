"""What a training will cost on this machine, told before its first step."""

from __future__ import annotations

import copy
import time

import numpy as np
import torch

from ofa_hw.blocks import num_macs
from ofa_hw.nn import Supernet
from ofa_hw.training.config import TrainingConfig

NUM_PROBE_IMAGES = 8
NUM_ARCHS = 16
TEACHER_SHARE = 1 / 3
"""The teacher only looks: a forward pass is about a third of a step."""


def estimate_seconds(net: Supernet, config: TrainingConfig) -> float:
    """Return about how long all steps of `config` take here: one small step is timed, the rest follows its MACs.

    Subnets of a step are assumed one after the other, and images to be at hand, so on many cores it is less. `net`
    stays as it is.
    """
    space, probe = net.space, copy.deepcopy(net).train()
    size = space.largest.resolution
    device = next(probe.parameters()).device
    x_BCHW = torch.zeros(NUM_PROBE_IMAGES, space.in_channels, size, size, device=device)
    seconds = []
    for _ in range(2):  # the first step allocates, and is not counted
        begin = time.monotonic()
        probe(x_BCHW).sum().backward()
        seconds.append(time.monotonic() - begin)
    per_mac = min(seconds) / (NUM_PROBE_IMAGES * num_macs(space, space.largest))
    total_macs = 0.0
    rng = np.random.default_rng(0)
    for phase in config.phases:
        archs = phase.open_space(space).sample(NUM_ARCHS, rng)
        macs = phase.num_subnets * float(np.mean([num_macs(space, arch) for arch in archs]))
        if phase.distill_weight:
            macs += TEACHER_SHARE * num_macs(space, space.largest)
        total_macs += phase.num_steps(config.batch_size) * config.batch_size * macs
    return per_mac * total_macs


def in_words(seconds: float) -> str:
    """Return a duration roughly: 40 s, 12 min, 4.5 h, 3.1 days."""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(1, round(seconds))} s"
