"""Published tables in our form: the YAML files of once-for-all (Note10) and of ProxylessNAS (Pixel 1).

Both name a block by a text such as `expanded_conv-input:112x112x24-output:56x56x32-expand:144-kernel:3-stride:2-...`
and give the mean, the number of runs and their standard deviation (`std`) or variance (`var`). In once-for-all's files
`expand` is the number of channels, in ProxylessNAS' the ratio. Our head is their Conv_1, AvgPool2D (where it stands
alone) and Conv_2 together, our classifier their Logits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_hw.blocks import BlockSpec, unique_block_specs
from ofa_hw.errors import InvalidInputError, TableError
from ofa_hw.families import family_of
from ofa_hw.files import parse_yaml, read_text
from ofa_hw.lut.table import LatencyTable
from ofa_hw.profiling.measurement import Measurement, RunConditions
from ofa_hw.space import SearchSpace

_MAX_BYTES = 50_000_000
_MAX_MS = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedEntry:
    """The mean of `count` runs in milliseconds and their standard deviation."""

    mean_ms: float
    std_ms: float
    count: int


def import_tables(paths: Sequence[str | Path], space: SearchSpace, *, device: str) -> LatencyTable:
    """Return the blocks of `space` that the published files at `paths` contain, as a table of `device`.

    Each file is for one input size. A block that several files have (the classifier) gets their mean, weighted by runs.
    The published means stand for medians, with the intervals of means; what was not published is absent.

    Raises:
        TableError: a file is damaged or not of this kind, two are for one input size, or the space has other blocks.
    """
    found: dict[BlockSpec, list[PublishedEntry]] = {}
    files: dict[int, Path] = {}
    num_entries = 0
    for path in map(Path, paths):
        entries = read_published(path)
        resolution = _resolution(path, entries)
        if resolution in files:
            raise TableError(
                f"{path}: each file must be for an input size of its own; {files[resolution]} is for it too"
            )
        files[resolution] = path
        num_entries += len(entries)
        for spec, entry in _match(entries, space, resolution):
            found.setdefault(spec, []).append(entry)
    if not found:
        raise TableError(
            f"{', '.join(map(str, paths))}: none of {num_entries} blocks is of space {space.name!r}; choose the space "
            "whose channels, kernels and input sizes the file tells of, or describe it in a TOML file"
        )
    conditions = RunConditions(
        device=device,
        runtime="published",
        runtime_version="unknown",
        dtype="float32",
        batch_size=1,
        num_threads=1,
        cpu_mask="unknown",
        governor="unknown",
        clocks="unknown",
    )
    return LatencyTable(
        space=space.name,
        measurements=tuple(_measurement(spec, _pooled(entries), conditions) for spec, entries in found.items()),
        notes={
            "host": device,
            "imported_from": ", ".join(files[size].name for size in sorted(files)),
            "not_published": "runtime, threads, cores, clocks and date; the values here are those of the papers",
        },
    )


def read_published(path: Path) -> dict[str, PublishedEntry]:
    """Return the entries of a published YAML file by their keys.

    Raises:
        TableError: naming the entry that is no such row; Python tags and aliases are refused.
    """
    content = _load_yaml(path)
    if not isinstance(content, dict) or not content:
        raise TableError(f"{path}: must be a YAML mapping of blocks; came {type(content).__name__}")
    return {str(key): _entry(path, str(key), value) for key, value in content.items()}


def _load_yaml(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TableError(f"{path}: must be a table of at most {_MAX_BYTES} bytes")
        text = read_text(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    except InvalidInputError as error:
        raise TableError(str(error)) from error
    try:
        return parse_yaml(text)
    except InvalidInputError as error:
        raise TableError(f"{path}: {error}") from error


def _entry(path: Path, key: str, value: Any) -> PublishedEntry:
    if not isinstance(value, dict) or not {"mean", "count"} <= set(value) or not {"std", "var"} & set(value):
        raise TableError(f"{path}: {key} must hold mean, count and std or var; came {str(value)[:80]}")
    numbers = [value["mean"], value["count"], value.get("std", value.get("var"))]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise TableError(f"{path}: {key} must hold numbers; came {str(value)[:80]}")
    mean, count, spread = (float(number) for number in numbers)
    if not (0 < mean < _MAX_MS and count >= 1 and 0 <= spread < _MAX_MS):
        raise TableError(
            f"{path}: {key} must have a mean above 0, a count of 1 or more, a spread of 0 or more; came {value}"
        )
    std = spread if "std" in value else math.sqrt(spread)
    return PublishedEntry(mean_ms=mean, std_ms=std, count=int(count))


def _resolution(path: Path, entries: Mapping[str, PublishedEntry]) -> int:
    for key in entries:
        size = key.removeprefix("Conv-input:").split("x")[0]
        if key.startswith("Conv-input:") and size.isdigit():
            return int(size)
    raise TableError(f"{path}: must hold the first convolution, Conv-input:224x224x3-...; it tells the input size")


def _match(
    entries: Mapping[str, PublishedEntry], space: SearchSpace, resolution: int
) -> Iterable[tuple[BlockSpec, PublishedEntry]]:
    """Yield each block of the space at this resolution whose parts are all in `entries`."""
    if resolution not in space.resolutions:
        return
    for spec in unique_block_specs(space, (resolution,)):
        parts = [_first(entries, keys) for keys in family_of(spec).table_keys(spec, list(entries))]
        if all(part is not None for part in parts):
            yield spec, _summed([part for part in parts if part is not None])


def _first(entries: Mapping[str, PublishedEntry], keys: Sequence[str]) -> PublishedEntry | None:
    return next((entries[key] for key in keys if key in entries), None)


def _summed(parts: Sequence[PublishedEntry]) -> PublishedEntry:
    """Return the sum of parts that were timed apart."""
    return PublishedEntry(
        mean_ms=sum(part.mean_ms for part in parts),
        # Parts were timed apart: their noise is independent, so variances add.
        std_ms=math.hypot(*(part.std_ms for part in parts)),
        count=min(part.count for part in parts),
    )


def _pooled(entries: Sequence[PublishedEntry]) -> PublishedEntry:
    """Return the same block from several files as one."""
    count = sum(entry.count for entry in entries)
    mean = sum(entry.mean_ms * entry.count for entry in entries) / count
    variance = sum(entry.std_ms**2 * entry.count for entry in entries) / count
    return PublishedEntry(mean_ms=mean, std_ms=math.sqrt(variance), count=count)


def _measurement(spec: BlockSpec, entry: PublishedEntry, conditions: RunConditions) -> Measurement:
    # The 95 % interval of a mean, normal; cut so that its lower end stays above 0.
    half = min(1.959963984540054 * entry.std_ms / math.sqrt(entry.count), 0.999 * entry.mean_ms)
    return Measurement(
        block=spec,
        conditions=conditions,
        median_ms=entry.mean_ms,
        mad_ms=None,
        p10_ms=None,
        p90_ms=None,
        ci_low_ms=entry.mean_ms - half,
        ci_high_ms=entry.mean_ms + half,
        num_runs=entry.count,
        process_spread=None,
        method="published mean",
        marks="",
        measured_at="unknown",
    )
