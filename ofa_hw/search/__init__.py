"""Find the networks worth having: Pareto fronts over gene matrices."""

from ofa_hw.search.find import search_front
from ofa_hw.search.front import ParetoFront, read_front_archs
from ofa_hw.search.layout import GeneLayout
from ofa_hw.search.nsga2 import Front, Nsga2, SearchPlan, nsga2
from ofa_hw.search.objectives import Limit, SearchProblem, Top1, narrow_space
from ofa_hw.search.pareto import hypervolume

__all__ = [
    "Front",
    "GeneLayout",
    "Limit",
    "Nsga2",
    "ParetoFront",
    "SearchPlan",
    "SearchProblem",
    "Top1",
    "hypervolume",
    "narrow_space",
    "nsga2",
    "read_front_archs",
    "search_front",
]
