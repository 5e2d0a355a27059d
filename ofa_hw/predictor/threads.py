"""How many threads NumPy and scikit-learn compute with: one, which is what their small products and trees gain by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from threadpoolctl import threadpool_limits

F = TypeVar("F", bound=Callable[..., object])


def on_one_thread(function: F) -> F:
    """Return `function`, in which BLAS and OpenMP compute on one thread each.

    Their threads wait for each other by spinning, thousands of times a fit: where something else is running, each time
    costs a turn of the scheduler, so that a fit of seconds takes minutes.
    """
    return cast("F", threadpool_limits.wrap(limits=1)(function))
