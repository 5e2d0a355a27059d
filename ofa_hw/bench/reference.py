"""The reference model: a small network that never changes, timed beside the others to tell how fast the machine is.

It is stored as a file for each format, so that it stays the same when our writers change. Runtimes that open no model
files time the chain of blocks that it was made from.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ofa_hw.blocks import BlockSpec
from ofa_hw.files import sha256_of
from ofa_hw.profiling import ModelFile, Profiler, Workload

NAME = "reference"


def reference_for(profiler: Profiler, own: ModelFile | None = None) -> Workload:
    """Return the reference that `profiler` times: `own` where it opens that, else the one that is built in."""
    if own is not None and own.path.suffix in profiler.model_suffixes:
        return Workload(name=NAME, file=own)
    for suffix in profiler.model_suffixes:
        path = Path(__file__).with_name(f"reference{suffix}")
        if path.is_file():
            return Workload(name=NAME, file=ModelFile(path=path))
    return Workload(name=NAME, specs=reference_specs())


def digest_of(reference: Workload) -> str:
    """Return a digest that differs between references."""
    if reference.file:
        return sha256_of(reference.file.path)[:12]
    keys = " ".join(spec.key for spec in reference.specs)
    return hashlib.sha256(keys.encode()).hexdigest()[:12]


def reference_specs() -> tuple[BlockSpec, ...]:
    """Return the blocks of the reference: dense, depthwise and pointwise convolutions, a gate, a classifier."""
    rows = json.loads(Path(__file__).with_name("reference.json").read_text())
    return tuple(BlockSpec(**row) for row in rows)
