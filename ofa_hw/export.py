"""A subnet as a file for its runtime, compared with torch before anyone relies on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError, MissingDependencyError, OfaHwError
from ofa_hw.files import write_bytes
from ofa_hw.formats.onnx import write_onnx
from ofa_hw.formats.tflite import write_tflite
from ofa_hw.nn import fold_chain
from ofa_hw.space import ArchConfig, SearchSpace

FORMATS = ("tflite", "onnx", "pt2")
MAX_LOGIT_ERROR = 1e-4

Floats = npt.NDArray[np.float32]


class ExportError(OfaHwError):
    """A written file does not compute what the network computes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportCheck:
    """How an exported file compares with torch on `num_images` images.

    `max_logit_error` is the greatest difference of a logit in units of the logits' standard deviation;
    `top1_agreement` the fraction of images with the same best class.
    """

    path: Path
    format: str
    num_bytes: int
    num_images: int
    max_logit_error: float
    top1_agreement: float


def export_subnet(
    subnet: nn.Sequential,
    space: SearchSpace,
    arch: ArchConfig,
    path: str | Path,
    format: str = "tflite",  # noqa: A002  (the name that users know)
    *,
    images: Tensor | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ExportCheck:
    """Write `subnet`, a network of `build_subnet(space, arch)`, to `path` and compare the file with torch.

    `tflite` takes one image (1, h, w, channels) at a time, `onnx` one (1, channels, h, w), as does `pt2`, a torch
    ExportedProgram. The comparison runs on `images` (n, channels, h, w), normalised as in training; without them on
    eight of noise. The file is there only where it passed.

    Raises:
        InvalidInputError: the format is unknown.
        MissingDependencyError: the format's runtime is not installed.
        ExportError: a logit is off by more than 1e-4 of their spread.
    """
    if format not in FORMATS:
        raise InvalidInputError(f"format must be one of {', '.join(FORMATS)}; came {format!r}")
    path = Path(path)
    if images is None:
        shape = (8, space.in_channels, arch.resolution, arch.resolution)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    subnet = subnet.eval()
    described = {"arch": arch.to_json(), "space": space.name, **(metadata or {})}
    content, run = _WRITERS[format](subnet, space, arch, described)
    with torch.no_grad():
        expected = torch.cat([subnet(part) for part in images.split(250)]).numpy()
    found = np.concatenate([run(image[None]) for image in images.numpy()])
    check = ExportCheck(
        path=path,
        format=format,
        num_bytes=len(content),
        num_images=len(images),
        max_logit_error=float(np.abs(found - expected).max() / max(expected.std(), 1e-12)),
        top1_agreement=float((found.argmax(1) == expected.argmax(1)).mean()),
    )
    if not check.max_logit_error <= MAX_LOGIT_ERROR:
        raise ExportError(
            f"{path}: logits must equal torch's within {MAX_LOGIT_ERROR:g} of their spread; they are off by "
            f"{check.max_logit_error:.2g}; nothing was written"
        )
    write_bytes(path, content)
    return check


def describe(classes: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    """Return the metadata that a file's user needs: the labels, and how pixels are normalised (scale 0 to 1)."""
    return {"labels": json.dumps(list(classes)), "mean": json.dumps(list(mean)), "std": json.dumps(list(std))}


Runner = Callable[[Floats], Floats]


def _write_tflite(
    subnet: nn.Sequential, space: SearchSpace, arch: ArchConfig, metadata: Mapping[str, str]
) -> tuple[bytes, Runner]:
    content = write_tflite(fold_chain(block_specs(space, arch), subnet), metadata=metadata)
    return content, tflite_runner(content)


def tflite_runner(content: bytes) -> Runner:
    """Return a function that runs the float32 model `content` on (1, channels, h, w), in the interpreter of LiteRT.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingDependencyError(
            "running a .tflite file needs ai-edge-litert; install it with `pip install 'ofa-hw[tflite]'`"
        ) from error
    interpreter: Any = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(x_BCHW: Floats) -> Floats:
        interpreter.set_tensor(source, np.ascontiguousarray(x_BCHW.transpose(0, 2, 3, 1)))
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def _write_onnx(
    subnet: nn.Sequential, space: SearchSpace, arch: ArchConfig, metadata: Mapping[str, str]
) -> tuple[bytes, Runner]:
    content = write_onnx(fold_chain(block_specs(space, arch), subnet), metadata=metadata)
    return content, onnx_runner(content)


def onnx_runner(content: bytes) -> Runner:
    """Return a function that runs the float32 model `content` on (1, channels, h, w), in ONNX Runtime on the CPU.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "running an .onnx file needs onnxruntime; install it with `pip install 'ofa-hw[onnx]'`"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name

    def run(x_BCHW: Floats) -> Floats:
        return session.run(None, {source: x_BCHW})[0]

    return run


def _write_pt2(
    subnet: nn.Sequential, space: SearchSpace, arch: ArchConfig, metadata: Mapping[str, str]
) -> tuple[bytes, Runner]:
    import io

    example = torch.zeros(1, space.in_channels, arch.resolution, arch.resolution)
    program = torch.export.export(subnet, (example,))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=dict(metadata))
    file.seek(0)
    module = torch.export.load(file).module()

    def run(x_BCHW: Floats) -> Floats:
        with torch.no_grad():
            return module(torch.from_numpy(x_BCHW)).numpy()

    return file.getvalue(), run


_WRITERS: dict[str, Callable[..., tuple[bytes, Runner]]] = {
    "tflite": _write_tflite,
    "onnx": _write_onnx,
    "pt2": _write_pt2,
}
