"""The training loop: it learns, it repeats to the bit, and a broken run ends where an unbroken one does."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ofa_hw.errors import RunError
from ofa_hw.nn import Supernet
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training import STRATEGIES, TrainingConfig, progressive_shrinking
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.guard import Health
from ofa_hw.training.ranks import Ranks
from ofa_hw.training.schedule import Phase
from ofa_hw.training.trainer import Trainer
from tests.training.tiny import make_run


class KilledError(Exception):
    """Stands for a kill between two steps."""


def make_trainer(folder: Path, space: SearchSpace, images: ImageBatches, **changes: object) -> Trainer:
    settings = {
        "phases": progressive_shrinking(space, num_images=960, learning_rate=0.1),
        "batch_size": 16,
        "num_calibration_images": 64,
        "checkpoint_every": 3,
    }
    config = TrainingConfig(**(settings | changes))
    run = make_run(folder)
    net = Supernet(space, generator=torch.Generator().manual_seed(config.seed))
    return Trainer(net, config, run, train=images, val=images)


def weights_and_rows(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    run = RunFolder(folder)
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return load_file(run.supernet_path), [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def assert_same_run(one: Path, other: Path) -> None:
    (weights, rows), (other_weights, other_rows) = weights_and_rows(one), weights_and_rows(other)
    assert rows == other_rows
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[key], other_weights[key]) for key in weights)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, tiny_space: SearchSpace, tiny_images: ImageBatches) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken")
    make_trainer(folder, tiny_space, tiny_images).train()
    return folder


def test_training_learns_what_is_there(unbroken: Path) -> None:
    _, rows = weights_and_rows(unbroken)
    last = [row for row in rows if row["kind"] == "phase_end"][-1]
    assert last["evals"]["largest"]["top1"] > 0.9


def test_every_phase_has_its_rows(unbroken: Path, tiny_space: SearchSpace) -> None:
    _, rows = weights_and_rows(unbroken)
    phases = [phase.name for phase in progressive_shrinking(tiny_space, num_images=960)]
    assert [row["phase"] for row in rows if row["kind"] == "phase_end"] == phases


def test_same_seed_gives_the_same_weights(
    unbroken: Path, tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    make_trainer(tmp_path, tiny_space, tiny_images).train()
    assert_same_run(unbroken, tmp_path)


def train_until(trainer: Trainer, num_steps: int) -> None:
    """Train until `num_steps` steps are taken, then die in the midst of the next one."""
    steps_left = [num_steps]
    finish = trainer.learner.finish

    def finish_or_die(*arguments: object) -> float:
        if not steps_left[0]:
            raise KilledError
        steps_left[0] -= 1
        return finish(*arguments)

    trainer.learner.finish = finish_or_die
    with pytest.raises(KilledError):
        trainer.train()


@pytest.mark.parametrize("killed_after", [1, 4, 17, 23, 31, 38, 47, 59])
def test_killed_and_resumed_equals_unbroken(
    unbroken: Path, tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches, killed_after: int
) -> None:
    train_until(make_trainer(tmp_path, tiny_space, tiny_images), killed_after)
    resumed = make_trainer(tmp_path, tiny_space, tiny_images)
    assert resumed.resume()
    resumed.train()
    assert_same_run(unbroken, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("signalled_after", [4, 9, 11])
def test_signal_keeps_the_step_at_hand(
    unbroken: Path,
    tmp_path: Path,
    tiny_space: SearchSpace,
    tiny_images: ImageBatches,
    number: signal.Signals,
    signalled_after: int,
) -> None:
    trainer = make_trainer(tmp_path, tiny_space, tiny_images, checkpoint_every=500)
    finish, steps = trainer.learner.finish, []

    def finish_and_signal(*arguments: object) -> float:
        steps.append(arguments)
        if len(steps) == signalled_after:
            os.kill(os.getpid(), number)
        return finish(*arguments)

    before = signal.getsignal(number)
    trainer.learner.finish = finish_and_signal
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert signal.getsignal(number) is before
    assert len(steps) == signalled_after
    resumed = make_trainer(tmp_path, tiny_space, tiny_images, checkpoint_every=500)
    assert resumed.resume()
    done = sum(phase.num_steps(16) for phase in resumed.config.phases[: resumed.position.phase])
    assert done + resumed.position.step == signalled_after
    resumed.train()
    assert_same_run(unbroken, tmp_path)


def test_checkpoint_by_time_loses_no_step_and_is_not_gone_back_to(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    def trainer_that_collapses(name: str, checkpoint_seconds: float) -> Trainer:
        phases = (Phase(name="p", num_images=320, learning_rate=0.1),)
        trainer = make_trainer(tmp_path / name, tiny_space, tiny_images, phases=phases)
        trainer._checkpoint_seconds = checkpoint_seconds
        finish = trainer.learner.finish

        def finish_or_collapse(lessons: object, learning_rate: float, step: int) -> float:
            loss = finish(lessons, learning_rate, step)
            return float("nan") if step == 7 and trainer.position.health.num_rollbacks < 1 else loss

        trainer.learner.finish = finish_or_collapse
        return trainer

    trainer_that_collapses("by steps", 1e9).train()
    train_until(trainer_that_collapses("by time", 0.0), 5)
    resumed = trainer_that_collapses("by time", 0.0)
    assert resumed.resume()
    assert resumed.position.step == 5
    resumed.train()
    assert_same_run(tmp_path / "by steps", tmp_path / "by time")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_averaged_weights_in_any_precision_learn_and_resume(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches, precision: str
) -> None:
    settings = {
        "phases": STRATEGIES["all-at-once"](tiny_space, num_images=640, learning_rate=0.1),
        "precision": precision,
        "average_decay": 0.8,
    }
    for folder in ("one", "two"):
        if folder == "two":
            train_until(make_trainer(tmp_path / folder, tiny_space, tiny_images, **settings), 20)
        trainer = make_trainer(tmp_path / folder, tiny_space, tiny_images, **settings)
        assert trainer.resume() is (folder == "two")
        trainer.train()
    _, rows = weights_and_rows(tmp_path / "one")
    assert rows[-1]["evals"]["largest"]["top1"] > 0.6
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_average_differs_from_the_last_weights(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    phases = (Phase(name="p", num_images=160, learning_rate=0.1),)
    weights = []
    for decay in (0.0, 0.8):
        folder = tmp_path / str(decay)
        make_trainer(folder, tiny_space, tiny_images, phases=phases, average_decay=decay).train()
        weights.append(weights_and_rows(folder)[0]["before.0.conv.weight"])
    assert not torch.equal(*weights)


@pytest.mark.parametrize("killed_after", [None, 9])
def test_collapse_goes_back_to_the_last_checkpoint_at_half_the_rate(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches, killed_after: int | None
) -> None:
    phases = (Phase(name="p", num_images=320, learning_rate=0.1, num_subnets=2),)

    def trainer_that_collapses() -> Trainer:
        trainer = make_trainer(tmp_path, tiny_space, tiny_images, phases=phases)
        trainer.resume()
        finish = trainer.learner.finish

        def finish_or_collapse(lessons: object, learning_rate: float, step: int) -> float:
            loss = finish(lessons, learning_rate, step)
            return float("nan") if step == 7 and trainer.position.health.num_rollbacks < 2 else loss

        trainer.learner.finish = finish_or_collapse
        return trainer

    if killed_after is not None:
        train_until(trainer_that_collapses(), killed_after)
    trainer_that_collapses().train()
    _, rows = weights_and_rows(tmp_path)
    assert [row["step"] for row in rows if row["kind"] == "rollback"] == [6, 6]
    at_end = next(row for row in rows if row["kind"] == "step")
    assert at_end["learning_rate"] == pytest.approx(phases[0].learning_rate_at(19, 20) / 4)


def test_collapse_without_a_checkpoint_to_go_back_to_ends_training(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    trainer = make_trainer(tmp_path, tiny_space, tiny_images)
    finish = trainer.learner.finish

    def finish_or_collapse(lessons: object, learning_rate: float, step: int) -> float:
        for path in trainer.run.checkpoints_path.iterdir():
            path.unlink()
        finish(lessons, learning_rate, step)
        return float("nan")

    trainer.learner.finish = finish_or_collapse
    with pytest.raises(RunError, match=r"no longer finite, and .*checkpoints has no checkpoint to go back to"):
        trainer.train()


def test_processes_that_see_different_checkpoints_are_refused(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    class Elsewhere(Ranks):
        """A second process, whose folder is empty."""

        def gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
            return [tensor, torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)]

    train_until(make_trainer(tmp_path, tiny_space, tiny_images), 4)
    trainer = make_trainer(tmp_path, tiny_space, tiny_images)
    trainer.ranks = Elsewhere()
    with pytest.raises(RunError, match="all processes must see the same last checkpoint"):
        trainer.resume()


def test_health_tells_a_collapse_from_a_slow_start_and_from_one_bad_step() -> None:
    health = Health()
    for _ in range(200):
        health = health.after(2.3, 2.3)
    assert health.fault is None
    for _ in range(200):
        health = health.after(1.0, 2.3)
    assert health.after(50.0, 2.3).fault is None
    for _ in range(200):
        health = health.after(2.3, 2.3)
    assert health.fault is not None
    assert "guessing" in health.fault
    assert Health().after(float("inf"), 2.3).fault == "the loss is no longer finite"


def test_checkpoint_of_another_configuration_is_refused(
    unbroken: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    with pytest.raises(RunError, match="another configuration"):
        make_trainer(unbroken, tiny_space, tiny_images, weight_decay=0.01).resume()


@pytest.mark.parametrize("change", [{"num_classes": 4}, {"head_channels": 24}])
def test_checkpoint_of_another_space_is_refused(
    unbroken: Path, tiny_space: SearchSpace, tiny_images: ImageBatches, change: dict[str, int]
) -> None:
    with pytest.raises(RunError, match="another space or class count"):
        make_trainer(unbroken, dataclasses.replace(tiny_space, **change), tiny_images).resume()


def test_damaged_checkpoint_is_named(tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches) -> None:
    trainer = make_trainer(tmp_path, tiny_space, tiny_images)
    trainer.train()
    last = max(trainer.run.checkpoints_path.glob("*.safetensors"))
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(RunError, match=f"{last.name} is damaged"):
        make_trainer(tmp_path, tiny_space, tiny_images).resume()


def test_loss_that_is_not_finite_ends_training(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches
) -> None:
    phases = (Phase(name="wild", num_images=960, learning_rate=1e9),)
    with pytest.raises(RunError, match="no longer finite, after 3 times at half the rate"):
        make_trainer(tmp_path, tiny_space, tiny_images, phases=phases, max_grad_norm=0.0).train()


def test_only_two_checkpoints_are_kept(unbroken: Path) -> None:
    assert len(list(RunFolder(unbroken).checkpoints_path.iterdir())) == 2


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_learns_and_repeats(
    tmp_path: Path, tiny_space: SearchSpace, tiny_images: ImageBatches, strategy: str
) -> None:
    phases = STRATEGIES[strategy](tiny_space, num_images=960, learning_rate=0.1)
    for folder, num_threads in (("one", 1), ("two", 2)):
        torch.set_num_threads(num_threads)
        make_trainer(tmp_path / folder, tiny_space, tiny_images, phases=phases).train()
    _, rows = weights_and_rows(tmp_path / "one")
    assert rows[-1]["evals"]["smallest"]["top1"] > 0.6
    if strategy != "progressive-shrinking":  # whose first phases give all cores to one network
        assert_same_run(tmp_path / "one", tmp_path / "two")
