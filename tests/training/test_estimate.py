"""What a training costs is told before it begins, and its progress is that of the whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ofa_hw.nn import Supernet
from ofa_hw.space import SearchSpace
from ofa_hw.training import TrainingConfig, progressive_shrinking
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.estimate import estimate_seconds, in_words
from ofa_hw.training.trainer import Trainer
from tests.training.tiny import make_run


def test_the_estimate_follows_the_images_and_leaves_the_network_as_it_is(tiny_space: SearchSpace) -> None:
    net = Supernet(tiny_space, generator=torch.Generator().manual_seed(0))
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    config = TrainingConfig(phases=progressive_shrinking(tiny_space, num_images=3200, learning_rate=0.1), batch_size=16)
    hundredfold = dataclasses.replace(
        config, phases=progressive_shrinking(tiny_space, num_images=320_000, learning_rate=0.1)
    )
    few, many = estimate_seconds(net, config), estimate_seconds(net, hundredfold)
    assert 10 < many / few < 1000  # a hundred, but for what the machine does beside
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (40, "40 s"), (725, "12 min"), (16_200, "4.5 h"), (270_000, "3.1 days")]
)
def test_durations_are_told_roughly(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_progress_tells_of_all_phases_at_every_step(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    phases = progressive_shrinking(tiny_space, num_images=640, learning_rate=0.1)
    config = TrainingConfig(phases=phases, batch_size=16, num_calibration_images=32)
    net = Supernet(tiny_space, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[str, int, int]] = []
    trainer = Trainer(net, config, make_run(tmp_path), train=tiny_images, val=tiny_images)
    trainer.train(lambda *call: seen.append(call))
    total = sum(phase.num_steps(16) for phase in phases) * 16
    assert {(description, whole) for description, _, whole in seen} == {("train", total)}
    assert sorted({done for _, done, _ in seen}) == list(range(0, total + 1, 16))
