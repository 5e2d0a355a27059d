"""Folded blocks as one .npz file, for runtimes that build their models from arrays in a process of their own."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import FoldedBlock


def write_npz(blocks: Sequence[FoldedBlock]) -> bytes:
    """Return the content of a file that `read_npz` turns into equal blocks."""
    specs = json.dumps([dataclasses.asdict(block.spec) for block in blocks])
    arrays = {f"{index}/{name}": array for index, block in enumerate(blocks) for name, array in block.weights.items()}
    content = io.BytesIO()
    # As bytes: NumPy would store text with four bytes a character.
    np.savez(content, specs=np.frombuffer(specs.encode(), np.uint8), **arrays)
    return content.getvalue()


def read_npz(path: str | Path) -> tuple[FoldedBlock, ...]:
    """Return the blocks in the file at `path`; InvalidInputError where it is no such file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            specs = [BlockSpec(**fields) for fields in json.loads(file["specs"].tobytes())]
            return tuple(
                FoldedBlock(
                    spec=spec,
                    weights={
                        name.removeprefix(f"{index}/"): file[name]
                        for name in file.files
                        if name.startswith(f"{index}/")
                    },
                )
                for index, spec in enumerate(specs)
            )
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InvalidInputError(f"{path}: must be a file of folded blocks: {error}") from error
