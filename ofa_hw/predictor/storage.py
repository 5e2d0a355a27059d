"""A predictor's folder: JSON for what it is, safetensors for its arrays; nothing is a pickle.

The folder is replaced whole, so it is of one predictor; `predictor.json` holds the hash of what is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import RunError
from ofa_hw.files import json_bytes, read_json, replace_folder
from ofa_hw.predictor.intervals import ErrorModel
from ofa_hw.predictor.learning_curve import LEARNING_CURVE, LearningCurve
from ofa_hw.predictor.mlp import MlpEnsemble
from ofa_hw.predictor.models import Model
from ofa_hw.predictor.regression import HeldOut, Regression
from ofa_hw.predictor.ridge import Ridge
from ofa_hw.predictor.trees import TreeEnsemble
from ofa_hw.predictor.validation import FitFigures
from ofa_hw.space import SearchSpace

if TYPE_CHECKING:
    from ofa_hw.predictor.accuracy import AccuracyPredictor

SCHEMA_VERSION = 3
"""Version 2 kept trees in an archive of skops; it is still read."""
FACTS, ARRAYS, TREES = "predictor.json", "arrays.safetensors", "trees.skops"
HELD_OUT = "held_out.csv"
"""For people and the report; `load_predictor` does not read it."""

_FILES = {FACTS, ARRAYS, TREES, HELD_OUT, LEARNING_CURVE}

Arrays = dict[str, npt.NDArray[np.generic]]


def save_predictor(predictor: AccuracyPredictor, folder: Path, curve: LearningCurve | None = None) -> None:
    """Replace `folder` by one that holds `predictor` and, where it was drawn, its `curve`.

    Raises:
        RunError: the folder has files that are not a predictor's.
    """
    from safetensors.numpy import save

    regression = predictor.regression
    model, errors = regression.model, regression.errors
    arrays: Arrays = {
        "rows.genes": predictor.rows.genes,
        "rows.scores": predictor.rows.scores,
        "rows.top1": predictor.rows.top1,
        "errors.ratios": errors.ratios,
        "held_out.predicted": regression.held_out.predicted,
        "held_out.half_width": regression.held_out.half_width,
    }
    if isinstance(model, TreeEnsemble | MlpEnsemble | Ridge):
        arrays |= {f"model.{name}": np.ascontiguousarray(array) for name, array in model.to_arrays().items()}
    contents = {ARRAYS: save(arrays)}
    facts = json_bytes(
        {
            "schema_version": SCHEMA_VERSION,
            "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            "space": predictor.space.to_dict(),
            "model": regression.model_name,
            "score": predictor.score,
            "slope": regression.slope,
            "intercept": regression.intercept,
            "base_variance": errors.base_variance,
            "spread_factor": errors.spread_factor,
            "seed": predictor.seed,
            "figures": dataclasses.asdict(regression.figures),
        }
    )
    contents |= {FACTS: facts, HELD_OUT: _held_out_csv(predictor).encode()}
    if curve is not None:
        contents[LEARNING_CURVE] = curve.to_csv().encode()
    others = {path.name for path in folder.iterdir()} - _FILES if folder.is_dir() else set()
    if others:
        raise RunError(f"{folder} must hold nothing but a predictor, which is replaced whole; it has {min(others)}")
    replace_folder(folder, contents)


def _held_out_csv(predictor: AccuracyPredictor) -> str:
    """Return what was measured of each sample beside what the models that did not see it say; top-1 as fractions."""
    from ofa_hw.predictor.accuracy import as_fractions, interval_of_fractions

    predicted, half_width = predictor.regression.held_out.predicted, predictor.regression.held_out.half_width
    low, high = interval_of_fractions(predicted - half_width, predicted + half_width)
    columns = (predictor.rows.top1, as_fractions(predicted), low, high)
    lines = ["arch_id,top1_measured,top1_predicted,low,high"]
    for arch, row in zip(predictor.space.decode(predictor.rows.genes), np.stack(columns, axis=1).tolist(), strict=True):
        lines.append(",".join([arch.arch_id, *map(repr, row)]))
    return "\n".join(lines) + "\n"


def load_predictor(folder: Path) -> AccuracyPredictor:
    """Return the predictor in `folder`; RunError where it is missing, damaged, or of versions that do not fit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from ofa_hw.predictor.accuracy import AccuracyPredictor, TrainingRows

    facts = _read_facts(folder)
    contents = {name: _read_whole(folder / name, digest) for name, digest in facts["sha256"].items()}
    try:
        arrays = load(contents[ARRAYS])
        broken = [
            name for name, array in arrays.items() if array.dtype.kind not in "iuf" or not np.isfinite(array).all()
        ]
        if broken:
            raise ValueError(f"{broken[0]} must hold finite numbers")
        space = SearchSpace.from_dict(facts["space"])
        regression = Regression(
            model_name=facts["model"],
            model=_load_model(folder, facts, contents, arrays),
            slope=float(facts["slope"]),
            intercept=float(facts["intercept"]),
            errors=ErrorModel(
                base_variance=float(facts["base_variance"]),
                spread_factor=float(facts["spread_factor"]),
                ratios=arrays["errors.ratios"],
            ),
            figures=FitFigures(**facts["figures"]),
            held_out=HeldOut(predicted=arrays["held_out.predicted"], half_width=arrays["held_out.half_width"]),
        )
        rows = TrainingRows(genes=arrays["rows.genes"], scores=arrays["rows.scores"], top1=arrays["rows.top1"])
        predictor = AccuracyPredictor(
            space=space, score=facts["score"], regression=regression, rows=rows, seed=int(facts["seed"])
        )
        _check_rows(predictor)
        return predictor
    except (KeyError, TypeError, ValueError, SafetensorError, OverflowError) as error:
        raise RunError(
            f"{folder / FACTS} does not describe a predictor ({error}); fit again with `ofa-hw fit`"
        ) from error


def _check_rows(predictor: AccuracyPredictor) -> None:
    """Return where the arrays are of the space and of each other's lengths, and the model says numbers of them."""
    rows, regression = predictor.rows, predictor.regression
    num_rows = len(predictor.space.check_genes(rows.genes))
    for name, array in (
        ("rows.scores", rows.scores),
        ("rows.top1", rows.top1),
        ("held_out.predicted", regression.held_out.predicted),
        ("held_out.half_width", regression.held_out.half_width),
    ):
        if array.shape != (num_rows,):
            raise ValueError(f"{name} must be ({num_rows},), one for each row of genes; it is {array.shape}")
    if not num_rows or regression.errors.ratios.ndim != 1 or not len(regression.errors.ratios):
        raise ValueError("there must be rows, and errors of held-out ones")
    if isinstance(regression.model, TreeEnsemble):
        regression.model.check(sum(predictor.space.num_choices))
    with np.errstate(all="ignore"):
        told = np.stack(predictor.predict(rows.genes[:1]))
    if told.shape != (2, 1) or not np.isfinite(told).all():
        raise ValueError("the model must predict a finite top-1 of each of its rows")


def _load_model(folder: Path, facts: dict[str, Any], contents: dict[str, bytes], arrays: Arrays) -> Model:
    own = {name.removeprefix("model."): array for name, array in arrays.items() if name.startswith("model.")}
    if facts["model"] == "mlp":
        return MlpEnsemble.from_arrays(own)
    if facts["model"] == "ridge":
        return Ridge.from_arrays(own)
    if facts["model"] != "gbdt":
        raise ValueError(f"no model {facts['model']!r}; there are mlp, ridge and gbdt")
    if TREES not in contents:
        return TreeEnsemble.from_arrays(own)
    written, here = facts["versions"]["scikit-learn"], version("scikit-learn")
    if written.split(".")[:2] != here.split(".")[:2]:
        raise RunError(
            f"{folder} was fitted with scikit-learn {written}, here is {here}, which may read its trees otherwise; "
            "fit again with `ofa-hw fit --model gbdt`"
        )
    return TreeEnsemble.from_skops(contents[TREES], source=str(folder / TREES))


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    if not path.exists():
        raise RunError(f"there is no predictor in {folder}; make one with `ofa-hw fit`")
    try:
        facts = read_json(path)
        schema_version, digests = facts["schema_version"], dict(facts["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); fit again with `ofa-hw fit`") from error
    if schema_version not in (2, SCHEMA_VERSION):
        raise RunError(
            f"{path} has schema version {schema_version}, here 2 and {SCHEMA_VERSION} are read; fit again with "
            "`ofa-hw fit`"
        )
    if not {ARRAYS} <= set(digests) <= {ARRAYS, TREES}:
        raise RunError(f"{path} names files that no predictor has; fit again with `ofa-hw fit`")
    assert isinstance(facts, dict)
    return facts


def _read_whole(path: Path, digest: str) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise RunError(f"{path} is missing or not what predictor.json says; fit again with `ofa-hw fit`")
    return content
