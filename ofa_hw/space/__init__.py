"""The vocabulary of architectures: `SearchSpace`, what may be chosen; `ArchConfig`, what was; genes, as numbers."""

from ofa_hw.space.architecture import ArchConfig, BlockChoice
from ofa_hw.space.presets import get_space, list_spaces
from ofa_hw.space.search_space import Genes, SearchSpace
from ofa_hw.space.stage import StageSpec

__all__ = [
    "ArchConfig",
    "BlockChoice",
    "Genes",
    "SearchSpace",
    "StageSpec",
    "get_space",
    "list_spaces",
]
