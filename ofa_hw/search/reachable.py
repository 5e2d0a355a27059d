"""Whether limits can be kept at all, checked before the search begins."""

from __future__ import annotations

import itertools

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.search.additive import AdditiveTerms, exact_front, find_terms, least
from ofa_hw.search.objectives import Limit, SearchProblem, with_unit


def check_reachable(problem: SearchProblem) -> None:
    """Check that every limit on a sum over blocks can be kept, alone and in each pair.

    The least value is computed exactly. Limits on figures that are no such sum are left to the search.

    Raises:
        InvalidInputError: naming the limit and the least there is, or two limits that exclude each other.
    """
    found = [(limit, _terms(problem, limit)) for limit in problem.limits]
    known = [(limit, terms) for limit, terms in found if terms is not None]
    for limit, terms in known:
        value, _ = least(terms)
        # A floor's terms were negated, so that its largest value is found as the least.
        value = value if limit.is_ceiling else -value
        if limit.bound < value if limit.is_ceiling else limit.bound > value:
            extreme = "least" if limit.is_ceiling else "most"
            raise InvalidInputError(
                f"{limit.told()} cannot be kept: the {extreme} in the space {problem.space.name!r} is "
                f"{with_unit(limit.objective, value)}; give that or more room"
            )
    for (first, first_terms), (second, second_terms) in itertools.combinations(known, 2):
        _check_pair(first, first_terms, second, second_terms)


def _terms(problem: SearchProblem, limit: Limit) -> AdditiveTerms | None:
    """Return the terms of what is limited, negated where it must be large; None where it is no sum."""
    sign = 1 if limit.is_ceiling else -1
    return find_terms(problem.space, lambda genes: sign * limit.cautious(genes))


def _check_pair(first: Limit, first_terms: AdditiveTerms, second: Limit, second_terms: AdditiveTerms) -> None:
    # If any network keeps both limits, one on the front of the two sums does.
    genes = exact_front(first_terms, second_terms)
    excesses = first.excess(genes) + second.excess(genes)
    if excesses.min() == 0:
        return
    nearest = genes[[int(np.argmin(excesses))]]
    values = [
        f"{limit.objective.name} {with_unit(limit.objective, float(limit.cautious(nearest)[0]))}"
        for limit in (first, second)
    ]
    raise InvalidInputError(
        f"{first.told()} and {second.told()} contradict each other: no network keeps both; the nearest has "
        f"{' and '.join(values)}"
    )
