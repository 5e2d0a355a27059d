"""Predictors that ship with ofa-hw, fitted to what others have measured; each has a card beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor.accuracy import AccuracyPredictor
from ofa_hw.space import SearchSpace

_FOLDER = Path(str(resources.files("ofa_hw") / "predictors"))


def list_predictors(space: SearchSpace) -> tuple[str, ...]:
    """Return the names of the predictors that ship for `space`."""
    folder = _FOLDER / space.name
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()


def find_predictor(name: str | Path, space: SearchSpace) -> AccuracyPredictor:
    """Return the predictor in the folder `name`, or the one of this name that ships for `space`.

    Raises:
        InvalidInputError: there is neither; the message lists the names.
        RunError: it is damaged, or of versions that cannot read it here.
    """
    if not Path(name).is_dir():
        if str(name) not in list_predictors(space):
            shipped = ", ".join(list_predictors(space)) or "none"
            raise InvalidInputError(
                f"no predictor {str(name)!r}: no such folder, and those that ship for {space.name!r} are: {shipped}; "
                "make one with `ofa-hw fit`"
            )
        name = _FOLDER / space.name / name
    return AccuracyPredictor.load(name)
