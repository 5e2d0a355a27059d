"""A space of bottlenecks with elastic widths goes through every stage as one of inverted residuals does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ofa_hw.blocks import block_specs, num_macs
from ofa_hw.cost import LutLatency, Macs, PeakMemory
from ofa_hw.lut import LatencyTable
from ofa_hw.nn import Supernet
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.layout import GeneLayout
from ofa_hw.search.operators import vary
from ofa_hw.space import SearchSpace, StageSpec
from ofa_hw.training import TrainingConfig, progressive_shrinking
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.evaluate import SubnetJudge
from ofa_hw.training.trainer import Trainer
from tests.search import example
from tests.training.tiny import make_run


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    form = {"activation": "relu", "kernel_sizes": (3,)}
    return SearchSpace(
        name="bottlenecks",
        resolutions=(8, 12),
        stages=(
            StageSpec(kind="conv", out_channels=16, stride=1, depths=(1, 2), **form),
            StageSpec(kind="conv_pool", out_channels=16, stride=2, depths=(1,), **form),
            StageSpec(kind="bottleneck", out_channels=32, stride=2, **form),
        ),
        expand_ratios=(0.25, 0.5),
        depths=(1, 2),
        width_ratios=(0.5, 1),
        in_channels=1,
        num_classes=3,
        stem_channels=0,
        first_channels=0,
        head_expand_channels=0,
        head_channels=0,
    )


@pytest.fixture(scope="module")
def net(space: SearchSpace, tiny_images: ImageBatches, tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    torch.set_num_threads(1)
    supernet = Supernet(space, generator=torch.Generator().manual_seed(0))
    phases = progressive_shrinking(space, num_images=1600, learning_rate=0.1)
    config = TrainingConfig(phases=phases, batch_size=16, num_calibration_images=64)
    run = make_run(tmp_path_factory.mktemp("bottlenecks"))
    Trainer(supernet, config, run, train=tiny_images, val=tiny_images).train()
    return supernet


def test_trained_subnets_are_better_than_chance_and_judged_together_as_alone(
    space: SearchSpace, net: Supernet, tiny_images: ImageBatches
) -> None:
    judge = SubnetJudge(net, tiny_images, tiny_images, num_calibration_images=64, checkpoint="c")
    archs = [space.smallest, space.largest, *space.sample(6, np.random.default_rng(0))]
    together = judge.judge_together([arch for arch in archs if arch.resolution == 12])
    assert np.mean([judge.judge(arch).top1 for arch in archs]) > 0.6
    for sample in together:
        assert sample.mean_log_likelihood == pytest.approx(judge.judge(sample.arch).mean_log_likelihood, rel=1e-4)


def test_tables_costs_and_predictors_take_its_genes(space: SearchSpace, tmp_path: Path) -> None:
    table = example.table(space=space)
    table.write(tmp_path / "t.csv")
    again = LatencyTable.read(tmp_path / "t.csv")
    assert again.measurements == table.measurements
    assert again.resolutions == space.resolutions
    genes = space.sample_genes(40, np.random.default_rng(1))
    archs = space.decode(genes)
    assert Macs(space=space).evaluate(genes).tolist() == [num_macs(space, arch) for arch in archs]
    ms = LutLatency(space=space, table=again).evaluate(genes)
    np.testing.assert_allclose(ms, [sum(again.block_ms(spec) for spec in block_specs(space, arch)) for arch in archs])
    assert (PeakMemory(space=space).evaluate(genes) > 0).all()
    predictor = AccuracyPredictor.fit_samples(space, example.samples(space=space), model="ridge", num_folds=3)
    assert predictor.predict(genes)[0].shape == (40,)


def test_children_of_the_search_are_canonical_networks_and_mutate_widths(space: SearchSpace) -> None:
    layout, rng = GeneLayout.of_space(space), np.random.default_rng(2)
    mothers = space.sample_genes(200, rng)
    children = vary(layout, mothers, mothers, rng)
    np.testing.assert_array_equal(space.canonical(children), children)
    np.testing.assert_array_equal(space.encode(space.decode(children)), children)
    assert (space.stage_widths(children) != space.stage_widths(mothers)).any()
