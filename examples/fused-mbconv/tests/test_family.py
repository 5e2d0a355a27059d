from ofa_hw.families import list_families
from ofa_hw.space import SearchSpace, StageSpec
from ofa_hw.testing import FamilyContract


class TestFusedInvertedResidual(FamilyContract):
    def make_space(self) -> SearchSpace:
        return SearchSpace(
            name="fused",
            resolutions=(24, 32),
            kernel_sizes=(3,),
            expand_ratios=(1, 2, 4),
            depths=(1, 2),
            num_classes=10,
            first_channels=0,
            head_expand_channels=0,
            head_channels=64,
            stages=(
                StageSpec(kind="fused-mbconv", out_channels=16, stride=2, activation="relu"),
                StageSpec(kind="mbconv", out_channels=24, stride=2, activation="h_swish", use_se=True),
            ),
        )


def test_the_family_is_found_by_its_entry_point() -> None:
    assert "fused-mbconv" in list_families()
