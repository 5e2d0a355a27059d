"""Each family keeps the contract that authors of others inherit."""

from __future__ import annotations

import dataclasses

import pytest

from ofa_hw.space import SearchSpace, StageSpec, get_space
from ofa_hw.testing import FamilyContract


def small(name: str, **stage: object) -> SearchSpace:
    """Two stages of a family on 16 px, its further choices as keywords."""
    values = {"activation": "relu", "kind": name, **stage}
    return SearchSpace(
        name="small",
        resolutions=(12, 16),
        depths=(1, 2),
        expand_ratios=(2, 3),
        num_classes=5,
        stem_channels=8,
        first_channels=8,
        head_expand_channels=24,
        head_channels=32,
        stages=(
            StageSpec(out_channels=16, stride=2, **values),
            StageSpec(out_channels=24, stride=1, **values | {"activation": "relu6"}),
        ),
    )


class TestInvertedResidual(FamilyContract):
    def make_space(self) -> SearchSpace:
        return small("mbconv", use_se=True, activation="h_swish")


class TestUniversalInvertedBottleneck(FamilyContract):
    def make_space(self) -> SearchSpace:
        kernels = (0, 3, 5)
        space = small("uib", kernel_sizes=kernels, choices=(("start_kernel_sizes", kernels),))
        return dataclasses.replace(space, head_kind="normed_head")


class TestBottleneck(FamilyContract):
    def make_space(self) -> SearchSpace:
        return dataclasses.replace(small("bottleneck", kernel_sizes=(3,)), width_ratios=(0.5, 1.0))


class TestConv(FamilyContract):
    def make_space(self) -> SearchSpace:
        return small("conv", kernel_sizes=(3,))


class TestConvPool(FamilyContract):
    def make_space(self) -> SearchSpace:
        return small("conv_pool", kernel_sizes=(3,))


class TestDepthwiseSeparable(FamilyContract):
    def make_space(self) -> SearchSpace:
        return small("dsconv", kernel_sizes=(5,))


class TestSamePadding(FamilyContract):
    """Even and odd sizes at every stride."""

    def make_space(self) -> SearchSpace:
        return dataclasses.replace(small("mbconv", kernel_sizes=(3, 5)), resolutions=(14, 16), padding="same")


@pytest.mark.parametrize("key", ["start_kernel_sizes", "kernel_sizes"])
def test_a_kernel_of_none_is_for_families_that_can_leave_a_layer_out(key: str) -> None:
    from ofa_hw.errors import InvalidInputError

    message = r"kernel_sizes must hold whole numbers, positive" if key == "kernel_sizes" else "no choice of a mbconv"
    stage = {"kernel_sizes": (0, 3)} if key == "kernel_sizes" else {"choices": ((key, (0, 3)),)}
    with pytest.raises(InvalidInputError, match=message):
        small("mbconv", **stage)


def test_a_space_file_with_further_choices_is_read_back() -> None:
    space = get_space("mobilenetv4-conv-small")
    assert SearchSpace.from_dict(space.to_dict()) == space
    assert space.to_dict()["stages"][-1]["start_kernel_sizes"] == [0, 3, 5]
