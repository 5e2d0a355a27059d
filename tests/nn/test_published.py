"""The supernets against once-for-all's recorded answers: keys, logits, sizes, sorts, recalibration, a training step.

In float32 the order of the sums alone moves logits of the largest networks by up to 4e-4 of their spread, so the
bound is 1e-3 there; in float64 it is 1e-6.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from ofa_hw.blocks import num_macs, num_params
from ofa_hw.errors import InvalidInputError
from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.nn.published_weights import from_published, read_published
from ofa_hw.space import get_space
from tests.nn.once_for_all import (
    NUM_RECALIBRATION_IMAGES,
    SPACES,
    Answers,
    make_images,
    make_weights,
    probes_of,
    read_answers,
    read_packed,
)

NUM_KEYS = dict(zip(SPACES, (475, 475, 446, 368), strict=True))
NUM_PARAMS = {"ofa-mobilenetv3-w1.0": 7_678_880, "ofa-proxyless-w1.3": 7_956_882, "ofa-resnet50": 48_105_992}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module", params=SPACES)
def answers(request: pytest.FixtureRequest) -> Answers:
    torch.set_num_threads(1)
    return read_answers(request.param)


@pytest.fixture(scope="module")
def weights(answers: Answers) -> dict[str, Tensor]:
    return make_weights(answers.space.name)


@pytest.fixture
def net(answers: Answers, weights: dict[str, Tensor]) -> Supernet:
    net = Supernet(answers.space)
    net.load_published(weights)
    return net.eval()


def distance(ours: Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max() / theirs.std())


def test_every_key_is_used(net: Supernet, weights: dict[str, Tensor]) -> None:
    assert set(from_published(net.space, weights)) == set(net.state_dict())
    assert len(weights) == NUM_KEYS[net.space.name]
    num_params = sum(parameter.numel() for parameter in net.parameters())
    assert num_params == sum(tensor.numel() for key, tensor in weights.items() if not key.endswith(BUFFERS))
    assert num_params == NUM_PARAMS.get(net.space.name, num_params)


def test_every_key_of_the_released_checkpoint_is_used() -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    ours = from_published(space, {key: torch.zeros(()) for key in read_packed("released_keys")})
    assert set(ours) == set(Supernet(space).state_dict())


@torch.no_grad()
def test_logits_equal_once_for_all(net: Supernet, answers: Answers) -> None:
    for bound in (1e-3, 1e-6):
        for index, told in enumerate(answers.nets):
            x_BCHW = make_images(f"logits {index}", 2, told["arch"].resolution)
            logits = net(x_BCHW.to(next(net.parameters()).dtype), told["arch"])
            assert distance(logits, answers.arrays[f"logits_{index}"]) < bound
        net.double()


def test_sizes_equal_once_for_all(answers: Answers) -> None:
    assert len(answers.nets) == 5
    for told in answers.nets:
        assert num_macs(answers.space, told["arch"]) == told["macs"]
        assert num_params(answers.space, told["arch"]) == told["params"]


@torch.no_grad()
def test_sorted_channels_give_the_recorded_logits(net: Supernet, answers: Answers) -> None:
    net.double()
    assert len(answers.sorted_archs) == len(net.space.expand_ratios)
    for num_sorts, archs in answers.sorted_archs.items():
        net.sort_channels(int(num_sorts) - 1)
        for index, arch in enumerate(archs):
            logits = net(make_images("sorted", 1, arch.resolution).double(), arch)
            assert distance(logits, answers.arrays[f"sorted_{num_sorts}_{index}"]) < 1e-6


@torch.no_grad()
def test_recalibrated_statistics_equal_once_for_all(net: Supernet, answers: Answers) -> None:
    arch, before = answers.recalibrated_arch, {key: tensor.clone() for key, tensor in net.state_dict().items()}
    batches = [make_images(f"recalibrated {num}", num, arch.resolution) for num in NUM_RECALIBRATION_IMAGES]
    recalibrate_batch_norm(net, batches, arch)
    recorded = from_published(net.space, answers.group("recalibrated"))
    for key, statistic in net.state_dict().items():
        torch.testing.assert_close(statistic, recorded.get(key, before[key]), rtol=1e-4, atol=1e-5)
    logits = net(make_images("recalibrated", 2, arch.resolution), arch)
    assert distance(logits, answers.arrays["recalibrated"]) < 1e-3


def test_one_training_step_moves_every_weight_and_statistic_alike(net: Supernet, answers: Answers) -> None:
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.train().parameters(), lr=0.05, momentum=0.9, nesterov=True)
    x_BCHW = make_images("step", 4, answers.step_arch.resolution)
    F.cross_entropy(net(x_BCHW, answers.step_arch), torch.arange(4), label_smoothing=0.1).backward()
    optimizer.step()
    probes, moved = (from_published(net.space, answers.group(kind)) for kind in ("step", "moved"))
    num_moved = 0
    for key, tensor in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        bound = 1e-6 + 2e-3 * float(moved[key])
        assert (probes_of(tensor) - probes[key]).abs().max() <= bound, key
        assert abs(float((tensor - before[key]).abs().max() - moved[key])) <= bound, key
        num_moved += bool(moved[key] > 0)
    assert num_moved > len(probes) / 4


def test_foreign_checkpoint_is_refused_with_its_keys() -> None:
    weights = make_weights("ofa-mobilenetv3-w1.0")
    net = Supernet(get_space("ofa-proxyless-w1.3"))
    with pytest.raises(InvalidInputError, match=r"\d+ missing .* \d+ unknown"):
        net.load_published(weights)
    other_width = Supernet(get_space("ofa-mobilenetv3-w1.2"))
    with pytest.raises(InvalidInputError, match="of another shape"):
        other_width.load_published(weights)


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


class Trojan:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({0: torch.ones(2)}, "by their names alone .* the first is 0"),
        ({"a": torch.ones(2, device="meta")}, "no meta, sparse or quantised ones.* the first is 'a'"),
        ({"a": "quantised"}, "the first is 'a'"),
        ({"a": torch.ones(2).to_sparse()}, "the first is 'a'"),
        ({"a": "text"}, "the first is 'a'"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_odd_tensors_and_keys_are_named(tmp_path: Path, state: dict[object, object], message: str) -> None:
    if isinstance(state.get("a"), str) and state["a"] == "quantised":
        state = {"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InvalidInputError, match=message):
        from_published(get_space("fashion"), read_published(tmp_path / "weights.pth"))


def test_a_pickle_that_would_execute_something_is_refused_by_what_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": Trojan()}, tmp_path / "weights.pth")
    with pytest.raises(InvalidInputError, match="print") as caught:
        read_published(tmp_path / "weights.pth")
    assert "trusted source" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not capsys.readouterr().out
