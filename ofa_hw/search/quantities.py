"""Quantities as a person writes them: 30ms, 5M, 1.5MB, 256KiB, 76.2%."""

from __future__ import annotations

import re

from ofa_hw.errors import InvalidInputError

_UNITS = {
    "ms": {"us": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3},
    "bytes": {"": 1.0, "b": 1.0, "byte": 1.0, "bytes": 1.0}
    | {"kb": 1e3, "mb": 1e6, "gb": 1e9}
    | {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30},
    "count": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9},
    "fraction": {"": 1.0, "%": 0.01},
}
_EXAMPLES = {"ms": "30ms", "bytes": "256KiB or 1.5MB", "count": "5M", "fraction": "0.76 or 76%"}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)\s*([^\W\d_]*|%)\s*", re.IGNORECASE)


class QuantityError(InvalidInputError):
    """A text is no quantity of the unit that it must have."""


def read_quantity(text: str, unit: str) -> float:
    """Return the number that `text` tells, in `unit`: ms, bytes, count, fraction, or a unit of a plug-in's own.

    The known units are of positive figures, and a latency without a unit is refused. Of a plug-in's own unit nothing is
    known but its name, which may be left out; where it has none (an empty `unit`) k, M, G and % are understood.

    Raises:
        QuantityError: it is no number with a suffix of that unit, or one that such a figure cannot have.
    """
    own = {"": 1.0, unit: 1.0} if unit else {**_UNITS["count"], **_UNITS["fraction"]}
    factors = _UNITS.get(unit, own)
    match = _QUANTITY.fullmatch(text)
    # There are two characters for a millionth: the micro sign and the Greek letter.
    suffix = match[2].lower().replace("µ", "μ") if match else None
    factor = next((factor for name, factor in factors.items() if name.lower() == suffix), None)
    if match is None or factor is None or (unit in _UNITS and float(match[1]) <= 0):
        suffixes = ", ".join(suffix or "no suffix" for suffix in factors)
        kind, example = ("a number above 0", _EXAMPLES[unit]) if unit in _UNITS else ("a number", f"1.5{unit}")
        raise QuantityError(f"must be {kind} with {suffixes}, such as {example}; came {text!r}")
    value = float(match[1]) * factor
    if unit == "fraction" and value > 1:
        raise QuantityError(f"must be a fraction up to 1, such as {_EXAMPLES[unit]}; came {text!r}")
    return value
