"""Exported files read back: what they take, and what stands in them beside the network."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats import opening
from ofa_hw.formats.running import Runner, onnx_runner, tflite_runner

KINDS = {".tflite": "tflite", ".onnx": "onnx"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A network that `ofa-hw export` wrote, ready to run: `run` takes (1, channels, resolution, resolution).

    The input is uint8 pixels where it `takes_pixels`, else float32 normalised by `mean` and `std` of each channel
    (scale 0 to 1). `image_size` is that of the squares which images are cropped to before they are scaled, None where
    the file does not tell.
    """

    path: Path
    run: Runner
    in_channels: int
    resolution: int
    takes_pixels: bool
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None


def open_exported(path: str | Path) -> ExportedFile:
    """Return the file at `path`, opened in its runtime.

    Raises:
        InvalidInputError: there is no such file, or it does not tell what `ofa-hw export` writes into one.
        DeviceError, MissingDependencyError: its runtime cannot open it, or is not installed.
    """
    path = Path(path)
    if path.suffix not in KINDS or not path.is_file():
        raise InvalidInputError(f"there must be an exported file {' or '.join(KINDS)}; {path} is none")
    content, kind = path.read_bytes(), KINDS[path.suffix]
    run = (tflite_runner if kind == "tflite" else onnx_runner)(content)
    shape, takes_pixels, metadata = _read_tflite(content) if kind == "tflite" else _read_onnx(content)
    try:
        labels, mean, std = (tuple(json.loads(metadata[name])) for name in ("labels", "mean", "std"))
        size = int(metadata["image_size"]) if "image_size" in metadata else None
        _, channels, height, width = shape
        if not (len(mean) == len(std) == channels and height == width and all(isinstance(x, str) for x in labels)):
            raise ValueError(f"{len(mean)} means for an input of shape {shape}")
        numbers = np.array([mean, std], np.float64)
        if not (np.isfinite(numbers).all() and (numbers[1] > 0).all()) or size == 0:
            raise ValueError(f"mean {mean} and std {std}")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{path} must hold labels and normalisation as `ofa-hw export` writes them "
            f"({type(error).__name__}: {error}); any file can be timed by `ofa-hw bench {shlex.quote(str(path))}`"
        ) from error
    return ExportedFile(
        path=path,
        run=run,
        in_channels=channels,
        resolution=height,
        takes_pixels=takes_pixels,
        labels=labels,
        mean=mean,
        std=std,
        image_size=size,
    )


def _read_tflite(content: bytes) -> tuple[list[int], bool, dict[str, str]]:
    """Return the shape of the input, NCHW, whether it is of pixels, and the metadata by name."""
    from ai_edge_litert import schema_py_generated

    source = opening.open_tflite(content).get_input_details()[0]
    shape = [int(size) for size in source["shape"]]
    if len(shape) == 4:
        shape = [shape[0], shape[3], shape[1], shape[2]]
    model: Any = schema_py_generated.Model.GetRootAs(content, 0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    facts = {_text(entry.Name()): _text(_bytes(model.Buffers(entry.Buffer()))) for entry in entries}
    return shape, source["dtype"] == np.uint8, facts


def _read_onnx(content: bytes) -> tuple[list[int], bool, dict[str, str]]:
    session = opening.open_onnx(content)
    source = session.get_inputs()[0]
    return list(source.shape), source.type == "tensor(uint8)", dict(session.get_modelmeta().custom_metadata_map)


def _bytes(buffer: Any) -> bytes:
    return buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b""


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
