"""Schedules are data: what opens when, how rates fall, which subnets a step draws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ofa_hw.errors import InvalidInputError
from ofa_hw.space import SearchSpace, get_space, list_spaces
from ofa_hw.training import STRATEGIES, Phase, TrainingConfig, best_strategy, progressive_shrinking
from ofa_hw.training.schedule import phases_from_dicts


@pytest.mark.parametrize("name", list_spaces())
def test_last_phase_opens_the_whole_space(name: str) -> None:
    space = get_space(name)
    phases = progressive_shrinking(space, num_images=1_000_000)
    opened = [phase.open_space(space) for phase in phases]
    assert opened[0].largest.stages == opened[0].smallest.stages == space.largest.stages
    assert [part.num_archs for part in opened] == sorted(part.num_archs for part in opened)
    assert opened[-1].num_archs == space.num_archs
    assert sum(phase.num_images for phase in phases) == pytest.approx(1_000_000, rel=0.001)


def test_phases_follow_the_paper() -> None:
    phases = progressive_shrinking(get_space("ofa-mobilenetv3-w1.0"), num_images=1000)
    assert [phase.name for phase in phases] == ["largest", "kernel", "depth-1", "depth-2", "width-1", "width-2"]
    assert [phase.sort_stage for phase in phases] == [None] * 4 + [0, 1]
    assert [phase.distill_weight for phase in phases] == [0, 1, 1, 1, 1, 1]


def test_widths_of_stages_open_last() -> None:
    space = get_space("ofa-resnet50")
    phases = progressive_shrinking(space, num_images=1000)
    names = ["largest", "depth-1", "depth-2", "width-1", "width-2", "stage-width-1", "stage-width-2"]
    assert [phase.name for phase in phases] == names
    assert [phase.sort_stage for phase in phases] == [None] * 3 + [0, 1] + [None] * 2
    assert [phase.open_space(space).width_ratios for phase in phases[-3:]] == [(1,), (0.8, 1), (0.65, 0.8, 1)]


def test_rate_warms_up_and_falls_to_nothing() -> None:
    phase = Phase(name="p", num_images=100, learning_rate=1.0, warmup_fraction=0.1)
    rates = [phase.learning_rate_at(step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_subnets_of_a_step_are_open_and_of_all_resolutions_before_one_comes_twice(tiny_space: SearchSpace) -> None:
    phase = Phase(name="p", num_images=1, learning_rate=1.0, num_depths=2, num_subnets=3, num_spread=2)
    opened = phase.open_space(tiny_space)
    for step in range(20):
        archs = phase.draw(opened, np.random.default_rng(step))
        assert len(archs) == 3
        assert {arch.resolution for arch in archs} == set(tiny_space.resolutions)
        for arch in archs:
            tiny_space.validate(arch)
            assert {block.kernel_size for stage in arch.stages for block in stage} == {5}
    assert phase.draw(opened, np.random.default_rng(1)) == phase.draw(opened, np.random.default_rng(1))


def test_spread_draws_meet_the_ends_of_the_space() -> None:
    space = get_space("fashion")
    rng = np.random.default_rng(0)
    depth_of = {
        "uniform": space.sample_genes(2000, rng)[:, space.columns["depth"]].sum(1),
        "spread": space.sample_spread_genes(2000, rng)[:, space.columns["depth"]].sum(1),
    }
    ends = {name: ((depths == 0) | (depths == depths.max())).mean() for name, depths in depth_of.items()}
    assert ends["spread"] > 2 * ends["uniform"]


def test_configuration_read_back_is_the_one_written(tiny_space: SearchSpace) -> None:
    config = TrainingConfig(phases=progressive_shrinking(tiny_space, num_images=100), seed=3)
    assert TrainingConfig.from_dict(config.to_dict()) == config
    assert config.digest != dataclasses.replace(config, seed=4).digest
    assert config.digest == dataclasses.replace(config, checkpoint_every=7).digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_images": 0}, "num_images must be 1 or more"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"warmup_fraction": 1.0}, "warmup_fraction"),
        ({"num_spread": 2}, "num_spread must be 0 to 1"),
        ({"distill_weight": -1.0}, "distill_weight"),
        ({"in_place": True}, "with in_place there must be 2 subnets"),
    ],
)
def test_phase_outside_its_range_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Phase(**({"name": "p", "num_images": 10, "learning_rate": 0.1} | changes))


@pytest.mark.parametrize("rows", [[], [{"name": "p"}], [{"name": "p", "num_images": 1, "learning_rate": 1.0, "x": 1}]])
def test_damaged_schedule_is_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(InvalidInputError, match="phase"):
        phases_from_dicts(rows)


def test_best_strategy_is_by_passes_over_the_images() -> None:
    assert [best_strategy(epochs) for epochs in (1, 79, 80, 600)] == ["all-at-once"] * 2 + ["progressive-shrinking"] * 2


def test_sandwich_holds_the_ends_and_teaches_in_place(tiny_space: SearchSpace) -> None:
    (phase,) = STRATEGIES["sandwich"](tiny_space, num_images=10, learning_rate=0.1)
    archs = phase.draw(phase.open_space(tiny_space), np.random.default_rng(0))
    assert len(archs) == 4
    assert [arch.stages for arch in archs[:2]] == [tiny_space.largest.stages, tiny_space.smallest.stages]
