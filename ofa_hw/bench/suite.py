"""A suite: which models and blocks are measured, described by a TOML file that lies beside them."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.files import parse_toml, read_text
from ofa_hw.profiling import ModelFile, Workload
from ofa_hw.run import find_space

RUNTIMES = {".tflite": "tflite", ".onnx": "onnxruntime"}
"""The runtime for model files that the device's own runtime does not open."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """Workloads under a name, in their order; `reference` is timed beside them, None for the one that is built in."""

    name: str
    workloads: tuple[Workload, ...]
    reference: ModelFile | None = None


def read_suite(path: str | Path) -> Suite:
    """Return the suite that the TOML file at `path` describes; its paths are relative to the file.

        name = "mine"                                # else the file's name
        reference = "models/reference.tflite"        # else the one that is built in

        [models]
        classifier = "models/classifier.tflite"
        detector = { file = "models/detector.onnx", shapes = { x = [1, 3, 48, 192] } }

        [blocks]
        late = { space = "fashion", resolutions = [28], keys = ["mbconv-r7-*-k5-*"] }

    Raises:
        InvalidInputError: naming the file and the entry that is unknown, missing or of another type.
        OSError: the suite cannot be read.
    """
    path = Path(path)
    try:
        return _suite(parse_toml(read_text(path)), path)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def _suite(table: Mapping[str, Any], path: Path) -> Suite:
    _require_keys(table, "the suite", known=("name", "reference", "models", "blocks"))
    name: Any = table.get("name", path.stem)
    models: Any = table.get("models", {})
    blocks: Any = table.get("blocks", {})
    _require_type(name, str, "name")
    _require_type(models, dict, "models")
    _require_type(blocks, dict, "blocks")
    workloads = [Workload(name=key, file=_model_file(value, f"models.{key}", path)) for key, value in models.items()]
    for key, value in blocks.items():
        workloads += _blocks(key, value)
    names = [workload.name for workload in workloads]
    if not workloads or len(set(names)) != len(names):
        raise InvalidInputError(f"there must be models or blocks, each with a name of its own; came {len(workloads)}")
    for each in (name, *names):
        if not each.strip() or not each.isprintable():
            raise InvalidInputError(f"a name must be one printable line; came {each!r}")
    reference = table.get("reference")
    return Suite(
        name=name,
        workloads=tuple(workloads),
        reference=None if reference is None else _model_file(reference, "reference", path),
    )


def _model_file(value: Any, where: str, suite: Path) -> ModelFile:
    table = {"file": value} if isinstance(value, str) else value
    _require_type(table, dict, where)
    _require_keys(table, where, known=("file", "shapes"), needed=("file",))
    _require_type(table["file"], str, f"{where}.file")
    file = suite.parent / table["file"]
    if file.suffix not in RUNTIMES:
        raise InvalidInputError(f"{where} must be a file {' or '.join(RUNTIMES)}; came {table['file']}")
    if not file.is_file():
        raise InvalidInputError(f"{where}: there must be a file {file}; there is none")
    shapes: Any = table.get("shapes", {})
    _require_type(shapes, dict, f"{where}.shapes")
    for name, shape in shapes.items():
        _require_type(shape, list, f"{where}.shapes.{name}")
    return ModelFile(path=file, shapes={name: tuple(shape) for name, shape in shapes.items()})


def _blocks(name: str, table: Any) -> list[Workload]:
    where = f"blocks.{name}"
    _require_type(table, dict, where)
    _require_keys(table, where, known=("space", "resolutions", "keys"), needed=("space",))
    _require_type(table["space"], str, f"{where}.space")
    space = find_space(table["space"])
    resolutions = table.get("resolutions", space.resolutions[-1:])
    patterns = table.get("keys", ["*"])
    _require_type(resolutions, list | tuple, f"{where}.resolutions")
    _require_type(patterns, list, f"{where}.keys")
    if not resolutions or not all(type(size) is int and size > 0 for size in resolutions):
        raise InvalidInputError(f"{where}.resolutions must be whole numbers above 0; came {list(resolutions)}")
    specs = unique_block_specs(space, tuple(resolutions))
    chosen = [spec for spec in specs if any(fnmatch.fnmatchcase(spec.key, str(pattern)) for pattern in patterns)]
    if not chosen:
        raise InvalidInputError(
            f"{where}.keys must match blocks of {space.name}, such as {specs[0].key}; {patterns} match none"
        )
    return [Workload(name=f"{name}/{spec.key}", specs=(spec,)) for spec in chosen]


def _require_keys(
    table: Mapping[str, Any], where: str, *, known: tuple[str, ...], needed: tuple[str, ...] = ()
) -> None:
    unknown, missing = sorted(set(table) - set(known)), sorted(set(needed) - set(table))
    if unknown or missing:
        came = f"came {', '.join(unknown)}" if unknown else f"{', '.join(missing)} is missing"
        raise InvalidInputError(f"{where} must hold {', '.join(known)}; {came}")


def _require_type(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind):
        # `list | tuple` is no key: resolutions of a space are a tuple, those of a file a list.
        wanted = {dict: "a table", list: "a list", str: "text"}.get(kind, "a list")
        raise InvalidInputError(f"{where} must be {wanted}; came {value!r}")
