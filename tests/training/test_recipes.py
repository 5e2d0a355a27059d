"""A recipe is the paper's table, number by number."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from ofa_hw.training.recipes import RECIPES, once_for_all

NUM = 1_000


def test_once_for_all_is_the_published_schedule() -> None:
    """Name, epochs, warm-up epochs, rate, subnets, open kernel sizes, depths, expand ratios, stage of sorting."""
    phases = once_for_all(get_space("ofa-mobilenetv3-w1.0"), NUM)
    found = [
        (
            phase.name,
            phase.num_images // NUM,
            round(phase.warmup_fraction * phase.num_images / NUM),
            phase.learning_rate,
            phase.num_subnets,
            (phase.num_kernel_sizes, phase.num_depths, phase.num_expand_ratios),
            phase.sort_stage,
        )
        for phase in phases
    ]
    assert found == [
        ("largest", 180, 0, 2.6, 1, (1, 1, 1), None),
        ("kernel", 125, 5, 0.96, 1, (3, 1, 1), None),
        ("depth-1", 25, 0, 0.08, 2, (3, 2, 1), None),
        ("depth-2", 125, 5, 0.24, 2, (3, 3, 1), None),
        ("expand-1", 25, 0, 0.08, 4, (3, 3, 2), 0),
        ("expand-2", 125, 5, 0.24, 4, (3, 3, 3), 1),
    ]
    assert [phase.distill_weight for phase in phases] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["fashion", "ofa-resnet50", "ofa-proxyless-w1.3", "mobilenetv4-conv-small"])
def test_every_space_opens_all_of_its_choices(name: str) -> None:
    space = get_space(name)
    assert once_for_all(space, NUM)[-1].open_space(space).num_archs == space.num_archs


def test_rates_follow_the_batch_and_images_the_epochs() -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    whole, part = once_for_all(space, NUM), once_for_all(space, NUM, epochs=60.5, batch_size=256)
    assert [phase.learning_rate for phase in part] == pytest.approx([phase.learning_rate / 8 for phase in whole])
    assert sum(phase.num_images for phase in part) == pytest.approx(60.5 * NUM, abs=10)


def test_command_trains_by_the_recipe(tmp_path: Path) -> None:
    words = ["train", "--recipe", "once-for-all", "--run", str(tmp_path / "run"), "--epochs", "0.01"]
    result = CliRunner().invoke(main, [*words, "--batch-size", "16", "--threads", "1"])
    assert result.exit_code == 0, result.output
    training, recipe = RunFolder.open(tmp_path / "run").config["training"], RECIPES["once-for-all"]
    assert training["batch_size"] == 16
    assert (training["weight_decay"], training["max_grad_norm"]) == (recipe.weight_decay, recipe.max_grad_norm)


def test_a_recipe_has_its_own_rates() -> None:
    result = CliRunner().invoke(main, ["train", "--recipe", "once-for-all", "--learning-rate", "0.1"])
    assert (result.exit_code, "leave out --strategy and --learning-rate" in " ".join(result.stderr.split())) == (
        2,
        True,
    )
