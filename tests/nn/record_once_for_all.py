"""Ask PyPI's `ofa` what `tests/data/once_for_all` holds; benchmarks/once_for_all.py tells how to install it.

python -m tests.nn.record_once_for_all
"""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import once_for_all as peer
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from tests.nn.once_for_all import (
    FOLDER,
    NUM_RECALIBRATION_IMAGES,
    SPACES,
    archs_to_sort,
    draw,
    make_images,
    make_weights,
    probes_of,
)


def some_nets(space: SearchSpace) -> list[ArchConfig]:
    largest = space.largest if space.name == SPACES[0] else dataclasses.replace(space.largest, resolution=128)
    return [largest, space.smallest, *draw(space, 3, seed=5)]


@torch.no_grad()
def sizes_of(net: nn.Module, arch: ArchConfig) -> dict[str, int]:
    """Return the MACs and parameters of the peer's subnet, counted over its modules as whole numbers."""
    subnet, macs = peer.cut_out(net, arch).eval(), []
    for module in subnet.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda module, _, output: macs.append(output[0].numel() * module.weight[0].numel())
            )
    subnet(make_images("sizes", 1, arch.resolution))
    return {"macs": sum(macs), "params": sum(parameter.numel() for parameter in subnet.parameters())}


def record(name: str, net: nn.Module) -> None:
    space, arrays = get_space(name), {}
    nets: list[dict[str, Any]] = []
    exact_net = copy.deepcopy(net).double()
    for index, arch in enumerate(some_nets(space)):
        nets.append({"arch": arch.to_dict(), **sizes_of(net, arch)})
        peer.choose(exact_net, arch)
        with torch.no_grad():
            logits = exact_net(make_images(f"logits {index}", 2, arch.resolution).double())
        arrays[f"logits_{index}"] = logits.numpy()

    sorted_net, sorted_archs = exact_net, {}
    for num_sorts in range(1, len(space.expand_ratios) + 1):
        sorted_net.re_organize_middle_weights(expand_ratio_stage=num_sorts - 1)
        sorted_archs[str(num_sorts)] = [arch.to_dict() for arch in archs_to_sort(space, num_sorts)]
        for index, arch in enumerate(archs_to_sort(space, num_sorts)):
            peer.choose(sorted_net, arch)
            with torch.no_grad():
                logits = sorted_net(make_images("sorted", 1, arch.resolution).double())
            arrays[f"sorted_{num_sorts}_{index}"] = logits.numpy()

    (recalibrated,) = draw(space, 1, seed=7, largest_resolution=144)
    other = copy.deepcopy(net)
    peer.choose(other, recalibrated)
    peer.recalibrate(
        other, [make_images(f"recalibrated {num}", num, recalibrated.resolution) for num in NUM_RECALIBRATION_IMAGES]
    )
    with torch.no_grad():
        arrays["recalibrated"] = other(make_images("recalibrated", 2, recalibrated.resolution)).numpy()
    before = net.state_dict()
    for key, tensor in other.state_dict().items():
        if key.endswith(("running_mean", "running_var")) and not torch.equal(tensor, before[key]):
            arrays[f"recalibrated|{key}"] = tensor.numpy()

    (stepped,) = draw(space, 1, seed=8, largest_resolution=144)
    other = copy.deepcopy(net).train()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    peer.train_step(other, None, [stepped], make_images("step", 4, stepped.resolution), torch.arange(4), optimizer)
    for key, tensor in other.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            arrays[f"step|{key}"] = probes_of(tensor).numpy()
            arrays[f"moved|{key}"] = (tensor - before[key]).abs().max().numpy()

    facts = {"nets": nets, "sorted": sorted_archs, "recalibrated": recalibrated.to_dict(), "step": stepped.to_dict()}
    (FOLDER / f"{name}.json").write_text(json.dumps(facts) + "\n")
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nets = {name: peer.make_peer(name).eval() for name in SPACES}
    shapes = {name: {key: list(value.shape) for key, value in net.state_dict().items()} for name, net in nets.items()}
    (FOLDER / "shapes.json.gz").write_bytes(gzip.compress(json.dumps(shapes).encode(), 9, mtime=0))
    for name, net in nets.items():
        net.load_state_dict(make_weights(name))
        record(name, net)


if __name__ == "__main__":
    main()
