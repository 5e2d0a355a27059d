"""How many threads NumPy and scikit-learn compute with: one, which is what their small products and trees gain by."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")


def on_one_thread(*modules: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator: in its function BLAS and OpenMP compute on one thread each.

    Their threads wait for each other by spinning, thousands of times a fit: where something else is running, each time
    costs a turn of the scheduler, so that a fit of seconds takes minutes. The `modules` are imported before, since only
    a library that is loaded can be told.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def on_one(*args: P.args, **kwargs: P.kwargs) -> T:
            for module in modules:
                importlib.import_module(module)
            with threadpool_limits(1):
                return function(*args, **kwargs)

        return on_one

    return decorated


LEARNERS = ("scipy.optimize", "sklearn.ensemble", "sklearn.linear_model")
"""What fits import, each with libraries of its own that compute."""
