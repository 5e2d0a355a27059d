"""The one walk through the network, and what blocks cost."""

import csv
import dataclasses
import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from ofa_hw.blocks import (
    BlockSpec,
    block_costs,
    block_macs,
    block_params,
    block_peak_values,
    block_specs,
    num_macs,
    num_params,
    sum_block_costs,
    unique_block_specs,
)
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import list_families
from ofa_hw.space import ArchConfig, get_space, list_spaces
from tests.nn.once_for_all import FOLDER


def spec_of(kind: str, **fields) -> BlockSpec:
    """A block of 8x8 pixels, 16 to 24 channels; each test names what it changes."""
    values = {
        "kind": kind,
        "input_size": 8,
        "in_channels": 16,
        "mid_channels": 32,
        "out_channels": 24,
        "kernel_size": 3,
        "stride": 1,
        "activation": "relu",
        "use_se": False,
        "has_skip": False,
    }
    return BlockSpec(**{**values, **fields})


@pytest.mark.parametrize(
    ("spec", "macs", "params"),
    [
        (spec_of("conv", in_channels=3, stride=2), 16 * 24 * 3 * 9, 24 * 3 * 9 + 48),
        (spec_of("dsconv", mid_channels=16), 64 * 16 * 9 + 64 * 16 * 24, 16 * 9 + 32 + 16 * 24 + 48),
        (
            spec_of("mbconv", stride=2, kernel_size=5),
            64 * 16 * 32 + 16 * 32 * 25 + 16 * 32 * 24,
            16 * 32 + 64 + 32 * 25 + 64 + 32 * 24 + 48,
        ),
        (
            spec_of("mbconv", use_se=True),
            64 * 16 * 32 + 64 * 32 * 9 + 2 * 32 * 8 + 64 * 32 * 24,
            16 * 32 + 64 + 32 * 9 + 64 + (32 * 8 + 8) + (8 * 32 + 32) + 32 * 24 + 48,
        ),
        (spec_of("head"), 64 * 16 * 32 + 32 * 24, 16 * 32 + 64 + 32 * 24),
        (spec_of("head", mid_channels=0), 64 * 16 * 24, 16 * 24 + 48),
        (spec_of("classifier", input_size=1), 16 * 24, 16 * 24 + 24),
        (spec_of("classifier", input_size=4), 16 * 24, 16 * 24 + 24),
        (spec_of("conv_pool", stride=2), 64 * 24 * 16 * 9, 24 * 16 * 9 + 48),
        (
            spec_of("bottleneck", stride=2),
            64 * 16 * 32 + 16 * 32 * 32 * 9 + 16 * 32 * 24 + 16 * 16 * 24,
            (16 * 32 + 64) + (32 * 32 * 9 + 64) + (32 * 24 + 48) + (16 * 24 + 48),
        ),
        (
            spec_of("bottleneck", out_channels=16, has_skip=True),
            64 * (16 * 32 + 32 * 32 * 9 + 32 * 16),
            (16 * 32 + 64) + (32 * 32 * 9 + 64) + (32 * 16 + 32),
        ),
    ],
)
def test_macs_and_params_of_each_kind_match_hand_worked_values(spec, macs, params):
    assert block_macs(spec) == macs
    assert block_params(spec) == params


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (spec_of("conv", in_channels=3, stride=2), 3 * 64 + 24 * 16),
        (spec_of("dsconv", mid_channels=16), 16 * 64 + 24 * 64),
        (spec_of("mbconv"), 32 * 64 + 32 * 64),
        (spec_of("mbconv", out_channels=16, has_skip=True), 32 * 64 + 32 * 64 + 16 * 64),
        (spec_of("head"), 16 * 64 + 32 * 64),
        (spec_of("classifier", input_size=1), 16 + 24),
        (spec_of("conv_pool", stride=2), 16 * 64 + 24 * 64),
        (spec_of("bottleneck", out_channels=16, has_skip=True), 16 * 64 + 32 * 64 + 32 * 64),
        (spec_of("bottleneck", stride=1), 16 * 64 + 32 * 64 + 32 * 64),
        (spec_of("bottleneck", mid_channels=8, out_channels=64, stride=2), 64 * 16 + 16 * 16 + 64 * 16),
    ],
)
def test_peak_values_of_each_kind_match_hand_worked_values(spec, values):
    assert block_peak_values(spec) == values


def test_published_largest_and_smallest_have_the_cost_that_is_known():
    # once-for-all sums MACs in float32, which makes 566,170,688 of the largest.
    space = get_space("ofa-mobilenetv3-w1.0")
    assert (num_macs(space, space.largest), num_params(space, space.largest)) == (566_170_656, 7_664_760)
    smallest = space.uniform_arch(resolution=128, kernel_size=3, expand_ratio=3, depth=2)
    assert (num_macs(space, smallest), num_params(space, smallest)) == (41_476_224, 3_410_792)


def test_costs_equal_the_published_table_of_searched_networks(published_data):
    space = get_space("ofa-mobilenetv3-w1.0")
    path = published_data / "ofa_mbv3_w1.0_imagenet_top1.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1000
    for row in rows:
        lists = {name: [int(value) for value in row[name].split("-")] for name in ("ks", "e", "d")}
        arch = ArchConfig.from_ofa(**lists, resolution=int(row["r"]))
        assert num_macs(space, arch) == int(float(row["macs"]))
        assert num_params(space, arch) == int(float(row["params"]))


def test_costs_equal_those_that_once_for_all_summed_in_float32():
    space = get_space("ofa-mobilenetv3-w1.0")
    for row in json.loads((FOLDER / "ofa-mobilenetv3-w1.0_sizes.json").read_text()):
        arch = ArchConfig.from_ofa(ks=row["ks"], e=row["e"], d=row["d"], resolution=row["r"])
        assert abs(num_macs(space, arch) - row["macs_hook"]) < np.spacing(np.float32(row["macs_hook"]))
        assert num_params(space, arch) == row["params"]


def test_costs_of_resnets_equal_those_that_once_for_all_counted():
    # MACs summed as whole numbers over the convolutions and linear layers of the networks that PyPI's ofa extracts.
    space = get_space("ofa-resnet50")
    rows = json.loads(Path(__file__).with_name("ofa_resnet50_sizes.json").read_text())
    for row in rows:
        arch = ArchConfig.from_ofa(e=row["e"], d=row["d"], w=row["w"], resolution=row["r"])
        assert (num_macs(space, arch), num_params(space, arch)) == (row["macs"], row["params"])
    assert len(rows) == 12


@pytest.mark.parametrize("name", list_spaces())
def test_blocks_form_a_chain_from_image_to_logits(name):
    space = get_space(name)
    for arch in space.sample(20, np.random.default_rng(0)):
        chain = block_specs(space, arch)
        assert (chain[0].kind, chain[0].input_size, chain[0].in_channels) == (
            "conv",
            arch.resolution,
            space.in_channels,
        )
        assert (chain[-1].kind, chain[-1].out_channels) == ("classifier", space.num_classes)
        for before, after in itertools.pairwise(chain):
            assert (after.input_size, after.in_channels) == (before.output_size, before.out_channels)


@pytest.mark.parametrize("name", list_spaces())
def test_tables_of_block_costs_sum_to_the_cost_of_the_chain(name):
    space = get_space(name)
    genes = space.sample_genes(50, np.random.default_rng(0))
    totals = sum_block_costs(space, genes, block_costs(space, block_macs))
    assert totals.tolist() == [num_macs(space, arch) for arch in space.decode(genes)]


def test_blocks_of_a_stage_follow_the_widths_of_both_stages():
    space = get_space("ofa-resnet50")
    widths = (1, 0.8, 0.65, 1, 0.8, 0.65)
    chain = block_specs(space, dataclasses.replace(space.smallest, width_ratios=widths))
    assert [(spec.in_channels, spec.mid_channels, spec.out_channels) for spec in chain[:4]] == [
        (3, 0, 32),
        (32, 0, 48),
        (48, 32, 168),
        (168, 32, 168),
    ]
    assert [spec.has_skip for spec in chain[2:6]] == [False, True, False, True]
    assert (chain[-1].kind, chain[-1].in_channels, chain[-1].input_size) == ("classifier", 1328, 4)


@pytest.mark.parametrize("name", list_spaces())
def test_unique_blocks_hold_every_block_of_every_network_once(name):
    space = get_space(name)
    unique = unique_block_specs(space)
    assert len(set(unique)) == len(unique) == len({spec.key for spec in unique})
    found = set(unique)
    for arch in space.sample(30, np.random.default_rng(0)):
        assert found.issuperset(block_specs(space, arch))


def test_unique_blocks_of_one_resolution_are_fewer_and_another_is_refused():
    space = get_space("fashion")
    assert set(unique_block_specs(space, (20,))) < set(unique_block_specs(space))
    with pytest.raises(InvalidInputError, match="27"):
        unique_block_specs(space, (20, 27))


def test_key_spells_out_every_field():
    base = spec_of("mbconv", out_channels=16)
    changes: dict[str, object] = {
        "kind": "dsconv",
        "input_size": 9,
        "in_channels": 8,
        "mid_channels": 8,
        "out_channels": 8,
        "kernel_size": 5,
        "stride": 2,
        "activation": "relu6",
        "use_se": True,
        "has_skip": True,
    }
    keys = {dataclasses.replace(base, **{field: value}).key for field, value in changes.items()}
    assert len(keys - {base.key}) == len(changes)


def test_odd_sizes_round_up_where_the_stride_is_two():
    assert spec_of("conv", input_size=33, stride=2).output_size == 17
    assert spec_of("conv", input_size=32, stride=2).output_size == 16


def test_every_kind_of_block_occurs_in_a_preset():
    kinds = {spec.kind for name in list_spaces() for spec in unique_block_specs(get_space(name))}
    assert kinds == set(list_families())
