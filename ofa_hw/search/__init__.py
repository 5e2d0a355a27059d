"""Find the networks worth having: Pareto fronts over gene matrices."""

from ofa_hw.search.find import search_front
from ofa_hw.search.front import FrontColumn, FrontLimit, FrontTable, ParetoFront
from ofa_hw.search.layout import GeneLayout
from ofa_hw.search.named import NamedObjectives, name_tables
from ofa_hw.search.nsga2 import Front, Nsga2, SearchPlan, nsga2
from ofa_hw.search.objectives import Limit, SearchProblem, Top1, narrow_space
from ofa_hw.search.pareto import hypervolume
from ofa_hw.search.proof import Proof, prove_front

__all__ = [
    "Front",
    "FrontColumn",
    "FrontLimit",
    "FrontTable",
    "GeneLayout",
    "Limit",
    "NamedObjectives",
    "Nsga2",
    "ParetoFront",
    "Proof",
    "SearchPlan",
    "SearchProblem",
    "Top1",
    "hypervolume",
    "name_tables",
    "narrow_space",
    "nsga2",
    "prove_front",
    "search_front",
]
