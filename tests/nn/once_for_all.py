"""Once-for-all's answers to weights and images that a recipe makes, so that the answers alone need be kept.

`record_once_for_all.py` asks PyPI's `ofa` and writes `tests/data/once_for_all`; the tests ask our supernets the same.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ofa_hw.space import ArchConfig, SearchSpace, get_space

FOLDER = Path(__file__).parents[1] / "data" / "once_for_all"
SPACES = ("ofa-mobilenetv3-w1.0", "ofa-mobilenetv3-w1.2", "ofa-proxyless-w1.3", "ofa-resnet50")
NUM_PROBES = 256
NUM_RECALIBRATION_IMAGES = (6, 3)


def uniform(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on `name` alone: the raw bits of PCG64, which NumPy promises to keep."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    bits = np.random.PCG64(seed).random_raw(math.prod(shape))
    return ((bits >> np.uint64(11)) * 2.0**-53).reshape(shape)


def spread(name: str, shape: tuple[int, ...], std: float) -> npt.NDArray[np.float64]:
    """Return numbers around 0 with this standard deviation."""
    return (uniform(name, shape) - 0.5) * (math.sqrt(12) * std)


def make_images(name: str, num: int, resolution: int) -> Tensor:
    """Return images (num, 3, resolution, resolution) of noise with mean 0 and variance 1."""
    return torch.from_numpy(spread(name, (num, 3, resolution, resolution), 1).astype(np.float32))


def make_weights(space_name: str) -> dict[str, Tensor]:
    """Return weights by once-for-all's names, none of them what a network starts with."""
    return {key: _make_weight(f"{space_name} {key}", tuple(shape)) for key, shape in _shapes()[space_name].items()}


def _make_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("_matrix"):
        values = np.eye(shape[0]) + spread(name, shape, 0.1)
    elif name.endswith("running_var"):
        values = 0.5 + 1.5 * uniform(name, shape)
    elif len(shape) > 1:
        values = spread(name, shape, math.sqrt(2 / math.prod(shape[1:])))
    elif name.endswith("weight"):
        values = 0.5 + uniform(name, shape)
    else:
        values = spread(name, shape, 0.1)
    return torch.from_numpy(values.astype(np.float32))


@functools.cache
def _shapes() -> dict[str, dict[str, list[int]]]:
    return read_packed("shapes")


def read_packed(name: str) -> Any:
    """Return what a compressed JSON file of the folder holds."""
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def probes_of(tensor: Tensor) -> Tensor:
    """Return `NUM_PROBES` entries of a tensor, evenly spread over it; all where it has no more."""
    flat = tensor.detach().flatten()
    places = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), NUM_PROBES)).round().astype(int))
    return flat[torch.from_numpy(places)]


def archs_to_sort(space: SearchSpace, num_sorts: int) -> list[ArchConfig]:
    """Return architectures whose logits a channel sort must not change, after that many sorts.

    Of later sorts once-for-all rounds importances to 1/32, which changes the order inside a band: networks of one
    expand ratio and of full stage width end on bands, so they do not see it.
    """
    uniform_archs = [
        space.uniform_arch(resolution=128, kernel_size=space.kernel_sizes[-1], expand_ratio=ratio)
        for ratio in space.expand_ratios
    ]
    return uniform_archs + (draw(space, 2, seed=6) if num_sorts == 1 else [])


def draw(space: SearchSpace, num: int, *, seed: int, largest_resolution: int = 176) -> list[ArchConfig]:
    """Return random architectures, none so large that a test takes long."""
    drawn = space.sample(20 * num, np.random.default_rng(seed))
    return [arch for arch in drawn if arch.resolution <= largest_resolution][:num]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What once-for-all says of one space.

    `nets` tells of some networks `arch`, `macs` and `params`. `arrays` holds `logits_<net>` and
    `sorted_<sorts>_<arch>` in float64; `recalibrated|<key>` and the logits `recalibrated` thereafter; `step|<key>`,
    the probes of each tensor after a training step, and `moved|<key>`, how far its furthest entry moved.
    """

    space: SearchSpace
    nets: list[dict[str, Any]]
    sorted_archs: dict[str, list[ArchConfig]]
    recalibrated_arch: ArchConfig
    step_arch: ArchConfig
    arrays: Mapping[str, npt.NDArray[Any]]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Return the arrays `prefix|<key>` by their keys."""
        start = f"{prefix}|"
        keys = [key for key in self.arrays if key.startswith(start)]
        return {key.removeprefix(start): torch.from_numpy(self.arrays[key]) for key in keys}


def read_answers(space_name: str) -> Answers:
    """Return what was recorded of a space."""
    told = json.loads((FOLDER / f"{space_name}.json").read_text())
    with np.load(FOLDER / f"{space_name}.npz") as arrays:
        return Answers(
            space=get_space(space_name),
            nets=[{**net, "arch": ArchConfig.from_dict(net["arch"])} for net in told["nets"]],
            sorted_archs={num: [ArchConfig.from_dict(arch) for arch in archs] for num, archs in told["sorted"].items()},
            recalibrated_arch=ArchConfig.from_dict(told["recalibrated"]),
            step_arch=ArchConfig.from_dict(told["step"]),
            arrays=dict(arrays),
        )
