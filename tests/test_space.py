"""The vocabulary of architectures."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.blocks import block_costs, block_macs, block_specs, sum_block_costs
from ofa_hw.errors import InvalidInputError
from ofa_hw.families import make_divisible
from ofa_hw.space import ArchConfig, BlockChoice, SearchSpace, StageSpec, get_space, list_spaces

PRESETS = list_spaces()


@st.composite
def spaces(draw):
    """Spaces of one to three stages, small enough to enumerate by hand, odd enough to find corners."""
    depths = st.sets(st.integers(1, 3), min_size=1).map(lambda values: tuple(sorted(values)))
    form = {
        "out_channels": st.sampled_from([8, 16, 24]),
        "stride": st.sampled_from([1, 2]),
        "depths": st.none() | depths,
    }
    inverted_residuals = st.builds(
        StageSpec,
        **form,
        activation=st.sampled_from(["relu", "h_swish"]),
        use_se=st.booleans(),
        expand_ratios=st.sampled_from([None, (2, 8)]),
    )
    full_convolutions = st.builds(
        StageSpec,
        **form,
        kind=st.sampled_from(["bottleneck", "conv", "conv_pool"]),
        activation=st.just("relu"),
        kernel_sizes=st.just((3,)),
    )
    has_stem, has_head = draw(st.booleans()), draw(st.booleans())
    return SearchSpace(
        name="drawn",
        resolutions=tuple(sorted(draw(st.sets(st.sampled_from([16, 20, 24, 28]), min_size=1)))),
        kernel_sizes=tuple(sorted(draw(st.sets(st.sampled_from([3, 5, 7]), min_size=1)))),
        expand_ratios=tuple(sorted(draw(st.sets(st.sampled_from([1.5, 2, 3, 4, 6]), min_size=1)))),
        depths=draw(depths),
        stages=tuple(draw(st.lists(inverted_residuals | full_convolutions, min_size=1, max_size=3))),
        width_ratios=draw(st.sampled_from([(), (1,), (0.5, 1)])),
        num_classes=10,
        stem_channels=16 * has_stem,
        first_channels=draw(st.sampled_from([0, 16])) * has_stem,
        head_expand_channels=draw(st.sampled_from([0, 64])) * has_head,
        head_channels=32 * has_head,
    )


def stage_of(**fields):
    """A stage of 16 channels; each test names what it changes."""
    return StageSpec(**{"out_channels": 16, "stride": 2, "activation": "relu", **fields})


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 8), (11, 16), (12, 16), (16.9, 16), (19.2, 24), (20, 24), (28, 32)]
)
def test_make_divisible_matches_hand_worked_values(value, expected):
    assert make_divisible(value) == expected


@given(st.floats(1, 4096))
def test_make_divisible_never_falls_below_nine_tenths(value):
    rounded = make_divisible(value)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * value
    assert abs(rounded - value) <= 8


@given(spaces(), seeds)
def test_decoded_genes_encode_to_themselves(space, seed):
    genes = space.sample_genes(20, np.random.default_rng(seed))
    assert genes.dtype == np.int8
    np.testing.assert_array_equal(space.encode(space.decode(genes)), genes)


@given(spaces(), seeds)
def test_canonical_genes_are_equal_only_where_networks_are(space, seed):
    genes = space.sample_genes(40, np.random.default_rng(seed))
    by_genes = {row.tobytes() for row in genes}
    archs = space.decode(genes)
    assert len(by_genes) == len(set(archs)) == len({arch.arch_id for arch in archs})


@given(spaces(), seeds)
def test_canonical_changes_no_network_and_is_idempotent(space, seed):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, space.num_choices, size=(20, space.num_genes)).astype(np.int8)
    before = raw.copy()
    canonical = space.canonical(raw)
    np.testing.assert_array_equal(raw, before)
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    assert space.decode(raw) == space.decode(canonical)


@given(spaces(), seeds)
def test_active_positions_are_those_within_the_depth(space, seed):
    genes = space.sample_genes(10, np.random.default_rng(seed))
    for row, arch in zip(space.active_positions(genes), space.decode(genes), strict=True):
        expected = [
            rank < len(arch.stages[stage])
            for stage, rank in zip(space.position_stages, space.position_ranks, strict=True)
        ]
        assert row.tolist() == expected


@given(spaces(), seeds)
def test_json_reads_back_as_the_same_architecture(space, seed):
    for arch in space.sample(5, np.random.default_rng(seed)):
        again = ArchConfig.from_json(arch.to_json())
        assert again == arch
        assert again.arch_id == arch.arch_id


@given(spaces())
def test_a_space_reads_back_from_its_plain_values(space):
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@given(spaces())
def test_every_sample_lies_between_smallest_and_largest(space):
    for arch in [*space.sample(10, np.random.default_rng(0)), space.largest]:
        space.validate(arch)
        for least, depth, most in zip(space.smallest.depths, arch.depths, space.largest.depths, strict=True):
            assert least <= depth <= most


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_samples_and_has_genes_that_read_back(name):
    space = get_space(name)
    assert space.name == name
    archs = space.sample(50, np.random.default_rng(1))
    assert space.decode(space.encode(archs)) == archs


def test_num_archs_counts_each_network_once():
    space = SearchSpace(
        name="small",
        resolutions=(16, 20),
        kernel_sizes=(3, 5),
        expand_ratios=(2, 4),
        depths=(1, 2),
        stages=(StageSpec(out_channels=8, stride=2, activation="relu", use_se=False),),
    )
    grid = np.array(np.meshgrid(*map(np.arange, space.num_choices))).reshape(space.num_genes, -1).T
    distinct = np.unique(space.canonical(grid.astype(np.int8)), axis=0)
    assert space.num_archs == 2 * (4 + 4 * 4) == len(distinct)


def test_fashion_holds_over_a_billion_networks():
    assert get_space("fashion").num_archs == 3 * (9 + 81 + 729) ** 3 > 10**9


def test_ofa_mobilenetv3_holds_as_many_networks_as_the_paper_counts():
    space = get_space("ofa-mobilenetv3-w1.0")
    assert space.num_archs // len(space.resolutions) == 7371**5


def test_same_seed_samples_the_same_whatever_the_hash_seed():
    program = (
        "import numpy as np; from ofa_hw import get_space;"
        "print([a.arch_id for a in get_space('fashion').sample(20, np.random.default_rng(3))])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(told) == 1


def test_ofa_lists_read_back_without_what_lies_beyond_the_depth():
    arch = ArchConfig.from_ofa(ks=[7, 5, 3, 3] * 5, e=[6, 4, 3, 3] * 5, d=[2, 3, 4, 2, 3], resolution=160)
    assert arch.depths == (2, 3, 4, 2, 3)
    assert arch.stages[0] == (BlockChoice(kernel_size=7, expand_ratio=6), BlockChoice(kernel_size=5, expand_ratio=4))
    lists = arch.to_ofa()
    assert lists["d"] == [2, 3, 4, 2, 3]
    assert lists["ks"][:4] == [7, 5, 5, 5]
    assert ArchConfig.from_ofa(ks=lists["ks"], e=lists["e"], d=lists["d"], resolution=lists["r"]) == arch


@given(seeds)
def test_ofa_lists_of_proxyless_read_back(seed):
    space = get_space("ofa-proxyless-w1.3")
    for arch in space.sample(5, np.random.default_rng(seed)):
        lists = arch.to_ofa()
        assert len(lists["ks"]) == 21
        assert ArchConfig.from_ofa(ks=lists["ks"], e=lists["e"], d=lists["d"], resolution=lists["r"]) == arch


@pytest.mark.parametrize(
    "lists",
    [
        {"ks": [3] * 20, "e": [6] * 19, "d": [4] * 5},
        {"ks": [3] * 18, "e": [6] * 18, "d": [4] * 5},
        {"ks": [3] * 20, "e": [6] * 20, "d": [5, 4, 4, 4, 4]},
        {"ks": [3] * 20, "e": [6] * 20, "d": [0, 4, 4, 4, 4]},
        {"ks": [], "e": [], "d": []},
    ],
)
def test_ofa_lists_that_disagree_are_refused(lists):
    with pytest.raises(InvalidInputError):
        ArchConfig.from_ofa(**lists, resolution=224)


def test_ofa_lists_of_a_resnet_read_back_with_its_widths():
    space = get_space("ofa-resnet50")
    for arch in space.sample(50, np.random.default_rng(0)):
        lists = arch.to_ofa()
        resolution = lists.pop("r")
        assert (len(lists["e"]), len(lists["d"]), len(lists["w"])) == (18, 5, 6)
        again = ArchConfig.from_ofa(**lists, resolution=resolution)
        assert (again, again.arch_id) == (arch, arch.arch_id)
    stem = ArchConfig.from_ofa(e=[0.2] * 18, d=[0, 0, 1, 2, 0], w=[2, 1, 0, 0, 0, 0], resolution=128)
    assert stem.depths == (1, 1, 2, 3, 6, 2)
    assert stem.width_ratios == (1, 0.8, 0.65, 0.65, 0.65, 0.65)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"e": [0.2] * 17}, "18 entries in e, 5 in d and 6 in w; came 17, 5 and 6"),
        ({"d": [0, 0, 0, 3, 0]}, "each of d must be 0 to 2"),
        ({"w": [0, 0, 0, 0, 0, 3]}, "each of w must be an index into"),
    ],
)
def test_ofa_lists_that_are_no_resnet_are_refused(change, told):
    lists = {"e": [0.2] * 18, "d": [0] * 5, "w": [0] * 6, **change}
    with pytest.raises(InvalidInputError, match=told):
        ArchConfig.from_ofa(**lists, resolution=224)


def test_widths_of_another_space_are_refused():
    space = get_space("ofa-resnet50")
    with pytest.raises(InvalidInputError, match="must have 6 width ratios; came 0"):
        space.validate(dataclasses.replace(space.largest, width_ratios=()))
    with pytest.raises(InvalidInputError, match=r"width ratio must be one of .*; came 0\.7"):
        space.validate(dataclasses.replace(space.largest, width_ratios=(0.7,) * 6))
    with pytest.raises(InvalidInputError, match="must have 0 width ratios; came 3"):
        get_space("fashion").validate(dataclasses.replace(get_space("fashion").largest, width_ratios=(1,) * 3))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"resolution": 28}', '{"resolution": 28, "stages": [{}]}', '{"resolution": 28, "stages": [3]}']
)
def test_a_damaged_architecture_is_refused_with_the_form_it_must_have(text):
    with pytest.raises(InvalidInputError, match="must"):
        ArchConfig.from_json(text)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"resolution": 27}, "resolution must be one of"),
        ({"stages": ()}, "has 3 stages"),
        ({"stages": ((), (), ())}, "depth of stage 0"),
        ({"stages": ((BlockChoice(kernel_size=9, expand_ratio=2),),) * 3}, "kernel size must be one of"),
        ({"stages": ((BlockChoice(kernel_size=3, expand_ratio=5),),) * 3}, "expand ratio must be one of"),
    ],
)
def test_an_architecture_of_another_space_is_refused(change, told):
    space = get_space("fashion")
    with pytest.raises(InvalidInputError, match=told):
        space.encode([dataclasses.replace(space.largest, **change)])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"resolutions": ()}, "resolutions"),
        ({"resolutions": 28}, "resolutions"),
        ({"depths": ("deep",)}, "depths"),
        ({"first_channels": -8}, "first_channels"),
        ({"bn_eps": 0}, "bn_eps"),
        ({"resolutions": (28, 20)}, "rise"),
        ({"kernel_sizes": (3, 4)}, "odd"),
        ({"expand_ratios": (0, 2)}, "expand_ratios"),
        ({"depths": (1.5,)}, "depths"),
        ({"stages": ()}, "at least one stage"),
        ({"head_activation": "gelu"}, "head_activation"),
        ({"width_mult": -1}, "width_mult"),
        ({"width_mult": "wide"}, "width_mult"),
        ({"resolutions": (4,)}, "total stride"),
        ({"width_mult": float("inf")}, "width_mult must be above 0"),
        ({"resolutions": (True, 28)}, "resolutions"),
        ({"num_classes": True}, "num_classes"),
        ({"name": 3}, "name must be a text"),
        ({"stages": (stage_of(use_se="yes"),)}, "use_se must be true or false"),
        ({"stages": (stage_of(stride=2.0),)}, "stride must be 1 or 2"),
        ({"width_ratios": (1, 0.5)}, "width_ratios must hold positive numbers that rise"),
        ({"stem_channels": 0, "first_channels": 16}, "first_channels must be 0 where stem_channels is"),
        ({"head_channels": 0, "head_expand_channels": 64}, "head_expand_channels must be 0 where head_channels is"),
        (
            {"stages": (stage_of(kind="transformer"),)},
            "stage 0: kind must be one of conv, conv_pool, dsconv, mbconv",
        ),
        ({"stages": (stage_of(kind="bottleneck"),)}, "kernel_sizes of a bottleneck must be a single one"),
        ({"stages": (stage_of(kind="bottleneck", kernel_sizes=(3,), use_se=True),)}, "use_se must be false"),
        (
            {"stages": (stage_of(kind="conv", kernel_sizes=(3,), expand_ratios=(2,)),)},
            "expand_ratios of a conv must be",
        ),
        (
            {"stages": (stage_of(kind="conv_pool", kernel_sizes=(3,), activation="h_swish"),)},
            "activation of a conv_pool must be relu or relu6",
        ),
        (
            {"stages": (StageSpec(out_channels=0, stride=3, activation="x", use_se=False, depths=()),)},
            "stage 0: depths",
        ),
    ],
)
def test_a_space_that_cannot_be_built_is_refused_by_name(change, told):
    with pytest.raises(InvalidInputError, match=told):
        dataclasses.replace(get_space("fashion"), **change)


def test_genes_outside_their_choices_are_refused():
    space = get_space("fashion")
    with pytest.raises(InvalidInputError, match="below"):
        space.decode(np.full((1, space.num_genes), 9, dtype=np.int8))
    with pytest.raises(InvalidInputError, match="must be"):
        space.decode(np.zeros((1, 3), dtype=np.int8))


def test_costs_refuse_genes_that_decode_refuses():
    space = get_space("fashion")
    costs = block_costs(space, block_macs)
    for genes in (np.full((2, space.num_genes), -1), np.full((1, space.num_genes), 9), np.zeros((1, space.num_genes))):
        with pytest.raises(InvalidInputError, match="genes of 'fashion' must be"):
            sum_block_costs(space, genes, costs)


def test_more_choices_than_genes_can_tell_are_refused():
    space = get_space("fashion")
    with pytest.raises(InvalidInputError, match="resolutions must be at most 127, came 200"):
        dataclasses.replace(space, resolutions=tuple(range(20, 220)))


def test_columns_name_every_gene_once():
    for name in list_spaces():
        space = get_space(name)
        assert sorted(np.concatenate(list(space.columns.values())).tolist()) == list(range(space.num_genes))
        assert len(space.columns["depth"]) == len(space.stages)


def test_from_ofa_takes_both_forms_of_proxylessnas():
    space = get_space("ofa-proxyless-w1.3")
    arch = space.sample(1, np.random.default_rng(0))[0]
    lists = arch.to_ofa()
    resolution = lists.pop("r")
    assert len(lists["d"]) == 5
    for last in ([], [1], [4]):
        assert ArchConfig.from_ofa(ks=lists["ks"], e=lists["e"], d=[*lists["d"], *last], resolution=resolution) == arch


def test_an_unknown_space_is_answered_with_the_names_there_are():
    with pytest.raises(InvalidInputError, match="fashion"):
        get_space("fashoin")


def test_a_space_file_is_read_and_its_faults_are_told_with_its_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nresolutions = [32]\n[[stages]]\nout_channels = 8\nstride = 1\n')
    with pytest.raises(InvalidInputError, match=r"mine\.toml.*activation"):
        get_space(str(path))
    path.write_text(path.read_text() + 'activation = "relu"\n')
    assert get_space(str(path)).resolutions == (32,)
    with pytest.raises(InvalidInputError, match="No such file"):
        get_space(str(tmp_path / "other.toml"))


@pytest.mark.parametrize("name", PRESETS)
def test_largest_and_smallest_have_the_chain_of_their_depths(name):
    space = get_space(name)
    num_static = 1 + sum(map(bool, (space.stem_channels, space.first_channels, space.head_channels)))
    assert len(block_specs(space, space.largest)) == num_static + len(space.position_stages)
    assert len(block_specs(space, space.smallest)) == num_static + sum(space.smallest.depths)
