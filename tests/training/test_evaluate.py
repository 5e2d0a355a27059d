"""Judging subnets: scores, the journal of samples, fine-tuning."""

from __future__ import annotations

import copy
import dataclasses
import math
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
import torch

from ofa_hw.errors import InvalidInputError
from ofa_hw.images import ImageSet
from ofa_hw.nn import Supernet, recalibrate_batch_norm
from ofa_hw.space import SearchSpace, get_space, list_spaces
from ofa_hw.training import FinetuneConfig, finetune, prefix_tree
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.evaluate import SubnetJudge, evaluate_all, predict_logits, score_logits, sorted_by_prefix
from ofa_hw.training.prefix_tree import PrefixTree
from ofa_hw.training.sampling import draw_distinct


@pytest.fixture
def judge(tiny_space: SearchSpace, tiny_images: ImageBatches) -> SubnetJudge:
    net = Supernet(tiny_space, generator=torch.Generator().manual_seed(0))
    return SubnetJudge(net, tiny_images, tiny_images, num_calibration_images=32, checkpoint="abc")


def test_scores_of_hand_worked_logits() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(4.0)]])
    scores = score_logits(logits, torch.tensor([0, 0]))
    assert scores.top1 == 0.5
    assert scores.mean_true_prob == pytest.approx((3 / 4 + 1 / 5) / 2)
    assert scores.mean_log_likelihood == pytest.approx((math.log(3 / 4) + math.log(1 / 5)) / 2)


def test_images_to_calibrate_with_are_of_all_classes_in_every_batch() -> None:
    labels = np.repeat(np.arange(4), 50)
    sorted_by_class = ImageSet(pixels=np.zeros((200, 1, 8, 8), np.uint8), labels=labels, classes=tuple("abcd"))
    drawn = ImageBatches(sorted_by_class, mean=(0.5,), std=(0.25,)).draw(80)
    assert len(drawn) == 80
    for batch in drawn.labels.split(20):
        assert set(batch.tolist()) == {0, 1, 2, 3}


def test_judging_does_not_change_the_supernet(judge: SubnetJudge, tiny_space: SearchSpace) -> None:
    before = copy.deepcopy(judge.net.state_dict())
    sample = judge.judge(tiny_space.smallest)
    assert sample.num_images == 96
    assert all(torch.equal(before[key], tensor) for key, tensor in judge.net.state_dict().items())


def test_subnets_judged_together_have_the_scores_of_each_alone(judge: SubnetJudge, tiny_space: SearchSpace) -> None:
    archs = sorted_by_prefix(tiny_space, draw_distinct(tiny_space, 40, seed=0))
    together = list(evaluate_all(judge, archs))
    for arch, sample in zip(archs, together, strict=True):
        logits = predict_logits(judge.calibrated(arch), judge.images, arch.resolution)
        alone = score_logits(logits, judge.images.labels)
        assert sample.mean_true_prob == pytest.approx(alone.mean_true_prob, abs=1e-6)
        assert sample.mean_log_likelihood == pytest.approx(alone.mean_log_likelihood, abs=1e-6)
        assert sample.top1 == pytest.approx(alone.top1, abs=0.011)  # one image of 96 may stand on the border
    assert together == [judge.judge(arch) for arch in archs]  # to the bit, whatever they were judged with


@pytest.mark.parametrize("name", list_spaces())
def test_tree_of_subnets_gives_the_logits_of_each(name: str) -> None:
    space = get_space(name)
    space = dataclasses.replace(space, resolutions=space.resolutions[:1])
    net = Supernet(space, generator=torch.Generator().manual_seed(0)).eval()
    archs = draw_distinct(space, 2, seed=0)
    x_BCHW = torch.randn(4, space.in_channels, 64, 64, generator=torch.Generator().manual_seed(0))
    tree = PrefixTree(net, [*archs, archs[0]])
    assert tree.num_blocks <= sum(len(list(net.chain(arch))) for arch in archs)
    tree.calibrate([x_BCHW, x_BCHW.flip(0)[:2]])
    for arch, logits in zip(archs, tree.logits(x_BCHW), strict=False):
        subnet = net.extract(arch)
        recalibrate_batch_norm(subnet, [x_BCHW, x_BCHW.flip(0)[:2]])
        torch.testing.assert_close(logits, subnet(x_BCHW), rtol=1e-3, atol=1e-3)


def test_tree_needs_images_to_calibrate(judge: SubnetJudge, tiny_space: SearchSpace) -> None:
    with pytest.raises(InvalidInputError, match="at least one batch"):
        PrefixTree(judge.net, [tiny_space.smallest]).calibrate([])


def test_samples_do_not_depend_on_the_number_of_workers(judge: SubnetJudge, tiny_space: SearchSpace) -> None:
    archs = draw_distinct(tiny_space, 6, seed=0)
    assert list(evaluate_all(judge, archs, num_workers=1)) == list(evaluate_all(judge, archs, num_workers=3))


def test_drawn_architectures_differ_and_grow_by_their_number(tiny_space: SearchSpace) -> None:
    many = draw_distinct(tiny_space, 50, seed=0)
    assert len(set(many)) == 50
    assert draw_distinct(tiny_space, 20, seed=0) == many[:20]
    assert draw_distinct(tiny_space, 20, seed=1) != many[:20]


def test_finetuning_raises_the_likelihood_and_repeats(
    judge: SubnetJudge, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    arch = tiny_space.largest
    config = FinetuneConfig(num_images=960, batch_size=16)

    def tuned() -> torch.nn.Module:
        subnet = judge.calibrated(arch)
        finetune(subnet, None, tiny_images, arch.resolution, config)
        return subnet

    def likelihood(net: torch.nn.Module) -> float:
        logits = predict_logits(net, tiny_images, arch.resolution)
        return score_logits(logits, tiny_images.labels).mean_log_likelihood

    one, again = tuned(), tuned()
    assert likelihood(one) > likelihood(judge.calibrated(arch)) + 0.1
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in one.state_dict().items())


def test_finetuning_refuses_what_makes_no_sense() -> None:
    with pytest.raises(InvalidInputError, match="num_images"):
        FinetuneConfig(num_images=0)


def test_augmented_images_are_shifted_copies(tiny_images: ImageBatches) -> None:
    indices = torch.arange(8)
    plain = next(tiny_images.all_at(12, 8))
    drawn = tiny_images.augmented(indices, [12], np.random.default_rng(0), max_shift=0, flip=True)[12]
    for image, original in zip(drawn, plain, strict=True):
        assert torch.equal(image, original) or torch.equal(image, original.flip(2))
    again = tiny_images.augmented(indices, [8, 12, 8], np.random.default_rng(0), max_shift=0, flip=True)
    assert torch.equal(drawn, again[12])
    assert {resolution: x_BCHW.shape[-1] for resolution, x_BCHW in again.items()} == {8: 8, 12: 12}
    shifted = tiny_images.augmented(indices, [12], np.random.default_rng(0), max_shift=1, flip=False)[12]
    for image, original in zip(shifted, plain, strict=True):
        centre = image[0, 1:-1, 1:-1]
        assert any(torch.equal(centre, original[0, y : y + 10, x : x + 10]) for y in range(3) for x in range(3))


def test_export_of_a_judged_subnet_equals_torch(judge: SubnetJudge, tiny_space: SearchSpace, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from ofa_hw.export import export_subnet

    arch = tiny_space.largest
    check = export_subnet(judge.calibrated(arch), tiny_space, arch, tmp_path / "net.tflite")
    assert check.max_logit_error < 1e-4
    assert check.path.stat().st_size == check.num_bytes


def test_an_interrupt_ends_what_is_being_judged_before_its_next_block(
    tiny_space: SearchSpace, tiny_images: ImageBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Supernet(tiny_space, generator=torch.Generator().manual_seed(0)).eval()
    judge = SubnetJudge(net, tiny_images, tiny_images, num_calibration_images=64, checkpoint="c")
    num_blocks, run = 0, prefix_tree._Node.run

    def count(node: prefix_tree._Node, x_BCHW: torch.Tensor) -> torch.Tensor:
        nonlocal num_blocks
        y_BCHW = run(node, x_BCHW)
        num_blocks += 1
        return y_BCHW

    monkeypatch.setattr(prefix_tree._Node, "run", count)
    archs = tiny_space.sample(40, np.random.default_rng(0))
    judged = evaluate_all(judge, archs, num_workers=1)
    next(judged)
    with pytest.raises(KeyboardInterrupt):
        judged.throw(KeyboardInterrupt)
    at_once = num_blocks
    assert judge.stop.is_set()
    with pytest.raises(CancelledError):
        judge.judge(archs[0])
    assert num_blocks == at_once
