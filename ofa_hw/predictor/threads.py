"""How many threads NumPy and scikit-learn compute with: one, with which small products and trees are fastest."""

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

    Their threads spin while they wait for each other, thousands of times in a fit. If something else is running, each
    wait lasts until the scheduler lets the other thread run, and a fit of seconds takes minutes. The `modules` are
    imported first, since only libraries that are loaded can be limited.
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
"""Modules that fits import and that bring libraries with threads of their own."""
