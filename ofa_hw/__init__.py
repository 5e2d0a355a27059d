"""Train one supernet, measure blocks on each device, find and deploy the network that fits it.

The names below are imported when they are first used, so that `import ofa_hw` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofa_hw.blocks import BlockSpec, block_specs, num_macs, num_params
    from ofa_hw.lut import LatencyTable
    from ofa_hw.plugins import get_profiler, list_profilers
    from ofa_hw.profiling import measure_blocks
    from ofa_hw.space import ArchConfig, SearchSpace, get_space, list_spaces

__version__ = "0.1.0"

__all__ = [
    "ArchConfig",
    "BlockSpec",
    "LatencyTable",
    "SearchSpace",
    "block_specs",
    "get_profiler",
    "get_space",
    "list_profilers",
    "list_spaces",
    "measure_blocks",
    "num_macs",
    "num_params",
]

_HOMES = {
    "ArchConfig": "space",
    "SearchSpace": "space",
    "get_space": "space",
    "list_spaces": "space",
    "BlockSpec": "blocks",
    "block_specs": "blocks",
    "num_macs": "blocks",
    "num_params": "blocks",
    "LatencyTable": "lut",
    "get_profiler": "plugins",
    "list_profilers": "plugins",
    "measure_blocks": "profiling",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
