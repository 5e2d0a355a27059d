"""A subnet as a file for its runtime, compared with torch before anyone relies on it."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError, OfaHwError
from ofa_hw.files import write_bytes
from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.formats.onnx_model import write_onnx
from ofa_hw.formats.operations import Normalisation
from ofa_hw.formats.running import Array, Runner, onnx_runner, tflite_runner
from ofa_hw.formats.tflite_int8 import write_tflite_int8
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.nn import fold_chain
from ofa_hw.nn.folded_reference import value_ranges
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.space import ArchConfig, SearchSpace

MAX_LOGIT_ERROR = 1e-4
MIN_INT8_AGREEMENT = 0.9
"""An int8 file must name the same class as torch for this share of the images; a trained network reaches 0.97."""
MAX_INT8_LOSS = 0.01
"""Or lose no more top-1 than this."""


class ExportError(OfaHwError):
    """A written file does not compute what the network computes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportCheck:
    """How an exported file compares with torch on `num_images` images.

    `max_logit_error` is the greatest difference of a logit in units of the logits' standard deviation;
    `top1_agreement` the fraction of images with the same best class. With labels `top1` is the fraction that the file,
    run in its runtime, classifies rightly, and `torch_top1` the network's own; without them None.
    """

    path: Path
    format: str
    num_bytes: int
    num_images: int
    max_logit_error: float
    top1_agreement: float
    top1: float | None = None
    torch_top1: float | None = None


def export_subnet(
    subnet: nn.Sequential,
    space: SearchSpace,
    arch: ArchConfig,
    path: str | Path,
    format: str | None = None,  # noqa: A002  (the name that users know)
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    calibration: Tensor | None = None,
    normalisation: Normalisation | None = None,
    metadata: Mapping[str, str] | None = None,
    progress: ProgressCallback = no_progress,
) -> ExportCheck:
    """Write `subnet`, a network of `build_subnet(space, arch)`, to `path` and compare the file with torch.

    The format is by default that of the suffix of `path`. `tflite` takes one image (1, h, w, channels) at a time,
    `onnx` one (1, channels, h, w), as does `pt2`, a torch ExportedProgram; `tflite-int8` is int8 throughout, its scales
    from what the `calibration` images (n, channels, h, w) make of every value. The comparison runs on `images`, with
    their `labels` (n,) where given; without them on eight of noise. Images and calibration are normalised as in
    training. With `normalisation` the file normalises by itself and takes uint8 pixels; so must `images` be. The file
    is there only where it passed.

    Raises:
        InvalidInputError: the format is unknown, or not that of the suffix, or int8 lacks its calibration images.
        MissingDependencyError: the format's runtime is not installed.
        ExportError: a logit is off by more than 1e-4 of their spread; of int8, another class for more than a tenth.
    """
    path = Path(path)
    name = choose_format(format, path)
    images = _noise(space, arch, normalisation) if images is None else images
    network = PixelNet(subnet, normalisation).eval() if normalisation else subnet.eval()
    job = _Job(
        network=network,
        blocks=fold_chain(block_specs(space, arch), subnet),
        calibration=calibration,
        example=torch.zeros_like(images[:1]),
        normalisation=normalisation,
        metadata={"arch": arch.to_json(), "space": space.name, **(metadata or {})},
    )
    content, run = FORMATS[name].write(job)
    with torch.no_grad():
        expected = torch.cat([network(part) for part in torch.split(images, 250)]).numpy()
    found = _run_all(run, images.numpy(), progress)
    check = ExportCheck(
        path=path,
        format=name,
        num_bytes=len(content),
        num_images=len(images),
        max_logit_error=float(np.abs(found - expected).max() / max(expected.std(), 1e-12)),
        top1_agreement=float((found.argmax(1) == expected.argmax(1)).mean()),
        top1=_top1(found, labels),
        torch_top1=_top1(expected, labels),
    )
    _judge(check)
    write_bytes(path, content)
    return check


def choose_format(name: str | None, path: Path | None) -> str:
    """Return the format `name`, or without one that of the suffix of `path`; TFLite where neither is given.

    Raises:
        InvalidInputError: there is no such format or suffix, or the suffix is that of another format.
    """
    if name is not None and name not in FORMATS:
        raise InvalidInputError(f"format must be one of {', '.join(FORMATS)}; came {name!r}")
    if path is None:
        return name or "tflite"
    # Of .tflite and .int8.tflite the longer one tells more; int8 may be called .tflite alone.
    by_suffix = sorted(FORMATS, key=lambda known: len(FORMATS[known].suffix), reverse=True)
    by_out = next((known for known in by_suffix if path.name.endswith(FORMATS[known].suffix)), None)
    if by_out is None and name is None:
        suffixes = ", ".join(known.suffix for known in FORMATS.values())
        raise InvalidInputError(f"the file must end in one of {suffixes}, or its format be given; came {path.name!r}")
    if name is None or by_out is None or name == by_out or (by_out, name) == ("tflite", "tflite-int8"):
        return name or str(by_out)
    raise InvalidInputError(
        f"{path} must be of the format of its suffix, {by_out}; came format {name}: give one of them"
    )


def describe(classes: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    """Return the metadata that a file's user needs: the labels, and how pixels are normalised (scale 0 to 1)."""
    return {"labels": json.dumps(list(classes)), "mean": json.dumps(list(mean)), "std": json.dumps(list(std))}


class PixelNet(nn.Module):
    """A network that normalises uint8 pixels (n, channels, h, w) before it judges them."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, normalisation: Normalisation) -> None:
        """Keep the mean and standard deviation of each channel, which normalise pixels on the scale 0 to 1."""
        super().__init__()
        self.net = net
        for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
            self.register_buffer(name, 255 * torch.tensor(values).reshape(1, -1, 1, 1))

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return the logits (n, num_classes)."""
        logits: Tensor = self.net((pixels_BCHW.float() - self.mean) / self.std)
        return logits


def calibration_ranges(blocks: Sequence[FoldedBlock], images: Tensor) -> dict[str, tuple[float, float]]:
    """Return the least and greatest of every value between the operations of `blocks`, over all of `images`."""
    found: dict[str, tuple[float, float]] = {}
    for part in torch.split(images, max(1, 100_000 // images.shape[-1] ** 2)):
        for name, (low, high) in value_ranges(blocks, part.contiguous().numpy()).items():
            before = found.get(name, (low, high))
            found[name] = (min(low, before[0]), max(high, before[1]))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """What a writer may need; `example` is an input of the file."""

    network: nn.Module
    blocks: tuple[FoldedBlock, ...]
    calibration: Tensor | None
    example: Tensor
    normalisation: Normalisation | None
    metadata: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """A format of files: how its files' names end, of which numbers they are, and whether images are NHWC in it.

    `write` gives the content of a file, and what runs it.
    """

    suffix: str
    dtype: str
    is_nhwc: bool
    write: Callable[[_Job], tuple[bytes, Runner]]


def _write_tflite(job: _Job) -> tuple[bytes, Runner]:
    content = write_tflite(job.blocks, metadata=job.metadata, normalisation=job.normalisation)
    return content, tflite_runner(content)


def _write_tflite_int8(job: _Job) -> tuple[bytes, Runner]:
    if job.calibration is None or not len(job.calibration):
        raise InvalidInputError("tflite-int8 needs calibration images, some hundred like those it will see; came none")
    ranges = calibration_ranges(job.blocks, job.calibration)
    content = write_tflite_int8(job.blocks, ranges, metadata=job.metadata, normalisation=job.normalisation)
    return content, tflite_runner(content)


def _write_onnx(job: _Job) -> tuple[bytes, Runner]:
    content = write_onnx(job.blocks, metadata=job.metadata, normalisation=job.normalisation)
    return content, onnx_runner(content)


_TRACING = threading.Lock()
"""torch traces one network at a time: it patches torch itself meanwhile."""


def _write_pt2(job: _Job) -> tuple[bytes, Runner]:
    import io

    with _TRACING:
        program = torch.export.export(job.network, (job.example,))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=dict(job.metadata))
    file.seek(0)
    module = torch.export.load(file).module()

    def run(x_BCHW: Array) -> Array:
        with torch.no_grad():
            logits: Array = module(torch.from_numpy(x_BCHW)).numpy()
        return logits

    return file.getvalue(), run


FORMATS: Mapping[str, ExportFormat] = {
    "tflite": ExportFormat(suffix=".tflite", dtype="float32", is_nhwc=True, write=_write_tflite),
    "tflite-int8": ExportFormat(suffix=".int8.tflite", dtype="int8", is_nhwc=True, write=_write_tflite_int8),
    "onnx": ExportFormat(suffix=".onnx", dtype="float32", is_nhwc=False, write=_write_onnx),
    "pt2": ExportFormat(suffix=".pt2", dtype="float32", is_nhwc=False, write=_write_pt2),
}
"""Every format by the name that users know."""


def format_for(suffixes: Sequence[str], dtype: str) -> str | None:
    """Return the format of the files that a runtime opens, whose names end in one of `suffixes`, and of these numbers.

    None where there is no such format: the runtime opens no files, or none of such numbers can be written.
    """
    return next(
        (
            name
            for name, format in FORMATS.items()  # noqa: A001  (the name that users know)
            if format.dtype == dtype and Path(f"net{format.suffix}").suffix in suffixes
        ),
        None,
    )


def _run_all(run: Runner, images: Array, progress: ProgressCallback) -> Array:
    """Return the logits (n, classes) of the file, an image at a time."""
    logits = []
    for index, image in enumerate(images):
        logits.append(run(image[None]))
        if index % 50 == 49 or index + 1 == len(images):
            progress("compare the file with torch", index + 1, len(images))
    return np.concatenate(logits)


def _judge(check: ExportCheck) -> None:
    if FORMATS[check.format].dtype == "int8":
        # Where torch itself hardly knows, small errors change many classes and cost nothing.
        is_worse = check.top1 is None or check.torch_top1 is None or check.top1 < check.torch_top1 - MAX_INT8_LOSS
        if check.top1_agreement < MIN_INT8_AGREEMENT and is_worse:
            raise ExportError(
                f"{check.path}: int8 must name torch's class for {MIN_INT8_AGREEMENT:.0%} of {check.num_images} "
                f"images, or be right as often; it does for {check.top1_agreement:.1%}; nothing was written; calibrate "
                "with more images, or use float"
            )
    elif not check.max_logit_error <= MAX_LOGIT_ERROR:
        raise ExportError(
            f"{check.path}: logits must equal torch's within {MAX_LOGIT_ERROR:g} of their spread; they are off by "
            f"{check.max_logit_error:.2g}; nothing was written"
        )


def _top1(logits: npt.NDArray[np.float32], labels: Tensor | None) -> float | None:
    return None if labels is None else float((logits.argmax(1) == labels.numpy()).mean())


def _noise(space: SearchSpace, arch: ArchConfig, normalisation: Normalisation | None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (8, space.in_channels, arch.resolution, arch.resolution)
    if normalisation is None:
        return torch.randn(shape, generator=generator)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
