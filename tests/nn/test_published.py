"""The supernet against once-for-all's recorded answers (`../shared/data/oracle`)."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.nn.published import from_published
from ofa_hw.space import ArchConfig, get_space


def _distance(ours: torch.Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max() / theirs.std())


def _recorded(arrays: np.lib.npyio.NpzFile, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith(prefix)}


def test_every_published_key_is_used(published_net: Supernet, oracle: Path) -> None:
    keys = json.loads((oracle / "ofa_mbv3_w1.0_keys.json").read_text())
    ours = from_published(published_net.space, {key: torch.zeros(()) for key in keys})
    assert set(ours) == set(published_net.state_dict())
    assert sum(parameter.numel() for parameter in published_net.parameters()) == 7_678_880


@pytest.mark.parametrize("case", range(4))
def test_logits_equal_once_for_all(
    published_net: Supernet, oracle: Path, oracle_archs: list[ArchConfig], case: int
) -> None:
    recorded = np.load(oracle / "ofa_mbv3_w1.0_logits.npz")
    with torch.no_grad():
        logits = published_net(torch.from_numpy(recorded[f"x_{case}"]), oracle_archs[case])
    assert _distance(logits, recorded[f"y_{case}"]) < 1e-3


@pytest.mark.parametrize("stage", range(3))
def test_sorted_channels_give_the_recorded_logits(published_net: Supernet, oracle: Path, stage: int) -> None:
    recorded = np.load(oracle / "ofa_mbv3_w1.0_channel_sort.npz")
    published_net.sort_channels(stage)
    published_net.double()  # in float32 the sums' new order alone moves these logits by up to 1e-3 of their spread
    for expand_ratio in (6, 4, 3):
        arch = published_net.space.uniform_arch(resolution=128, kernel_size=7, expand_ratio=expand_ratio)
        with torch.no_grad():
            logits = published_net(torch.from_numpy(recorded["x"]).double(), arch)
        assert _distance(logits, recorded[f"after_stage{stage}_e{expand_ratio}"]) < 1e-3


@pytest.mark.parametrize("case", [1, 2])
def test_recalibrated_statistics_equal_once_for_all(
    published_net: Supernet, oracle: Path, oracle_archs: list[ArchConfig], case: int
) -> None:
    recorded = np.load(oracle / "ofa_mbv3_w1.0_bn_recalibration.npz")
    images = np.load(oracle / "ofa_mbv3_w1.0_logits.npz")[f"x_{case}"]
    arch = oracle_archs[case]
    recalibrate_batch_norm(published_net, [torch.from_numpy(recorded[f"c{batch}_{case}"]) for batch in (1, 2)], arch)
    subnet = published_net.extract(arch)
    statistics = dict(subnet.named_buffers())
    theirs = _recorded(recorded, f"{case}|")
    for key, expected in theirs.items():
        torch.testing.assert_close(statistics[_name_in_subnet(key, len(subnet))], expected, rtol=1e-4, atol=1e-5)
    assert len(theirs) == sum(name.endswith(("running_mean", "running_var")) for name in statistics)
    with torch.no_grad():
        assert _distance(subnet(torch.from_numpy(images)), recorded[f"y_{case}"]) < 1e-3


def test_one_training_step_equals_once_for_all(
    published_net: Supernet, oracle: Path, oracle_archs: list[ArchConfig]
) -> None:
    recorded = np.load(oracle / "ofa_mbv3_w1.0_train_step.npz")
    published_net.train()
    logits = published_net(torch.from_numpy(recorded["x"]), oracle_archs[2])
    loss = F.cross_entropy(logits, torch.from_numpy(recorded["t"]), label_smoothing=0.1)
    loss.backward()
    assert _distance(logits, recorded["logits"]) < 1e-3
    assert abs(loss.item() - float(recorded["loss"])) < 1e-5
    parameters, buffers = dict(published_net.named_parameters()), published_net.state_dict()
    for key, expected in from_published(published_net.space, _recorded(recorded, "g|")).items():
        assert (parameters[key].grad - expected).abs().max() <= 1e-6 + 1e-3 * expected.abs().max()
    for key, expected in from_published(published_net.space, _recorded(recorded, "s|")).items():
        torch.testing.assert_close(buffers[key], expected, rtol=1e-4, atol=1e-5)


def test_foreign_checkpoint_is_refused_with_its_keys(oracle_weights: dict[str, torch.Tensor]) -> None:
    net = Supernet(get_space("ofa-proxyless-w1.3"))
    with pytest.raises(InvalidInputError, match=r"\d+ missing .* \d+ unknown"):
        net.load_published(oracle_weights)
    other_width = Supernet(get_space("ofa-mobilenetv3-w1.2"))
    with pytest.raises(InvalidInputError, match="of another shape"):
        other_width.load_published(oracle_weights)


def test_resnet_weights_load_from_either_kind_of_file_and_are_refused_by_what_is_wrong(tmp_path: Path) -> None:
    space = dataclasses.replace(
        get_space("ofa-resnet50"), num_classes=5, width_mult=0.125
    )  # as many keys, fewer weights
    net = Supernet(space, generator=torch.Generator().manual_seed(0))
    state = published_resnet_names(net.state_dict())
    assert len(state) == 368
    save_file(state, tmp_path / "weights.safetensors")
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    for name in ("weights.safetensors", "weights.pth"):
        again = Supernet(space, generator=torch.Generator().manual_seed(1))
        again.load_published(tmp_path / name)
        assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in net.state_dict().items())
    with pytest.raises(InvalidInputError, match="the checkpoint has 5 classes, 'ofa-resnet50' has 1000"):
        Supernet(dataclasses.replace(space, num_classes=1000)).load_published(state)
    with pytest.raises(
        InvalidInputError, match=r"must hold the weights of 'fashion'; keys: \d+ missing .*, \d+ unknown"
    ):
        Supernet(get_space("fashion")).load_published(state)
    gone = state.pop("blocks.3.conv2.bn.bn.running_var")
    with pytest.raises(InvalidInputError, match=r"1 missing \(the first is stages\.2\.3\.bn2\.running_var\)"):
        net.load_published(state)
    with pytest.raises(InvalidInputError, match=r"1 missing .*, 1 unknown \(the first is blocks\.18\.conv2"):
        net.load_published({**state, "blocks.18.conv2.bn.bn.running_var": gone})


def published_resnet_names(ours: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights by the names of once-for-all's OFAResNets, which wraps its elastic layers."""
    starts = {(0, 0): "input_stem.0", (0, 1): "input_stem.1.conv", (1, 0): "input_stem.2"}
    starts |= {
        (2 + unit, rank): f"blocks.{first + rank}"
        for unit, (first, num) in enumerate([(0, 4), (4, 4), (8, 6), (14, 4)])
        for rank in range(num)
    }
    layers = {"conv": "conv.conv", "bn": "bn.bn", "conv_shortcut": "downsample.conv.conv"}
    layers |= {"bn_shortcut": "downsample.bn.bn"}
    layers |= {f"{kind}{number}": f"conv{number}.{kind}.{kind}" for kind in ("conv", "bn") for number in (1, 2, 3)}
    named = {}
    for key, tensor in ours.items():
        if key.startswith("after.0."):
            named[key.replace("after.0.linear", "classifier.linear.linear")] = tensor
            continue
        _, stage, rank, layer, name = key.split(".")
        named[f"{starts[int(stage), int(rank)]}.{layers[layer]}.{name}"] = tensor
    return named


def test_proxyless_supernet_has_the_published_size() -> None:
    net = Supernet(get_space("ofa-proxyless-w1.3"))
    assert sum(parameter.numel() for parameter in net.parameters()) == 7_956_882
    assert len(net.state_dict()) == 446


def _name_in_subnet(key: str, num_blocks: int) -> str:
    """Return our subnet's name for a key of once-for-all's extracted net, whose blocks are counted in its own chain."""
    if key.startswith("first_conv."):
        return key.replace("first_conv", "0")
    if key.startswith("final_expand_layer."):
        return key.replace("final_expand_layer", str(num_blocks - 2))
    layers = {"inverted_bottleneck": "bn_pw", "depth_conv": "bn_dw", "point_linear": "bn_pwl"}
    index, layer, statistic = re.fullmatch(r"blocks\.(\d+)\.conv\.(\w+)\.bn\.(\w+)", key).groups()
    return f"{int(index) + 1}.{layers[layer]}.{statistic}"
