"""The reference model: a small network that never changes, timed beside the others to tell how fast the machine is.

It is stored as a file for each format, so that a change of how files are written here does not move it. Runtimes that
open no model files time the chain of blocks that it was made of.
"""

from __future__ import annotations

import hashlib
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
    """Return what tells one reference from another."""
    if reference.file:
        return sha256_of(reference.file.path)[:12]
    keys = " ".join(spec.key for spec in reference.specs)
    return hashlib.sha256(keys.encode()).hexdigest()[:12]


def reference_specs() -> tuple[BlockSpec, ...]:
    """Return the blocks of the reference: dense, depthwise and pointwise convolutions, a gate, a classifier."""
    rows = (
        # kind, input_size, in_, mid_ and out_channels, kernel_size, stride, activation, use_se, has_skip
        ("conv", 112, 3, 0, 16, 3, 2, "h_swish", False, False),
        ("mbconv", 56, 16, 64, 24, 3, 2, "relu", False, False),
        ("mbconv", 28, 24, 96, 24, 5, 1, "relu", False, True),
        ("mbconv", 28, 24, 96, 40, 5, 2, "h_swish", True, False),
        ("mbconv", 14, 40, 120, 40, 3, 1, "h_swish", False, True),
        ("head", 14, 40, 120, 128, 1, 1, "h_swish", False, False),
        ("classifier", 1, 128, 0, 10, 1, 1, "none", False, False),
    )
    return tuple(_block(*row) for row in rows)


def _block(
    kind: str,
    input_size: int,
    in_channels: int,
    mid_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    activation: str,
    use_se: bool,
    has_skip: bool,
) -> BlockSpec:
    return BlockSpec(
        kind=kind,
        input_size=input_size,
        in_channels=in_channels,
        mid_channels=mid_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
        activation=activation,
        use_se=use_se,
        has_skip=has_skip,
    )
