"""A chosen network of a run as a file for its runtime, checked on the run's images, with its card beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from ofa_hw.export import SUFFIXES, ExportCheck, export_subnet, model_card
from ofa_hw.files import write_text
from ofa_hw.formats.graph import Normalisation
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training.batches import ImageBatches
from ofa_hw.training.runs import open_images
from ofa_hw.verify import export_metadata, load_chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedNet:
    """The file, how it compares with torch on the test images, whether its weights are fine-tuned, and its card."""

    check: ExportCheck
    is_finetuned: bool
    card: Path


def export_chosen(
    run: RunFolder,
    arch: ArchConfig,
    format_name: str = "tflite",
    path: Path | None = None,
    *,
    takes_pixels: bool = False,
    num_calibration_images: int = 500,
    progress: ProgressCallback = no_progress,
) -> ExportedNet:
    """Write `arch` with the best weights that `run` has, and its card, a Markdown file of the same name.

    `path` None is a file of the run's folder of exports, named by `arch_id`. A file that `takes_pixels` normalises by
    itself. The scales of an int8 file are those of `num_calibration_images` training images.

    Raises:
        RunError, InvalidInputError: as `load_chosen`.
        ExportError: the file does not compute what the network computes.
    """
    subnet, is_finetuned = load_chosen(run, arch)
    images = open_images(run)
    normalisation = Normalisation(mean=images.test.mean, std=images.test.std) if takes_pixels else None
    metadata = export_metadata(run, is_finetuned=is_finetuned)
    test = _all(images.test, arch)
    check = export_subnet(
        subnet,
        run.space,
        arch,
        path or run.exported_path / f"{arch.arch_id}{SUFFIXES[format_name]}",
        format_name,
        images=_pixels(test, normalisation) if normalisation else test,
        labels=images.test.labels,
        calibration=_all(images.train.draw(num_calibration_images), arch) if format_name == "tflite-int8" else None,
        normalisation=normalisation,
        metadata=metadata,
        progress=progress,
    )
    card = check.path.with_name(f"{check.path.name}.md")
    write_text(card, model_card(check, run.space, arch, metadata=metadata, takes_pixels=takes_pixels))
    return ExportedNet(check=check, is_finetuned=is_finetuned, card=card)


def _all(images: ImageBatches, arch: ArchConfig) -> Tensor:
    return torch.cat(list(images.all_at(arch.resolution, 250)))


def _pixels(x_BCHW: Tensor, normalisation: Normalisation) -> Tensor:
    """Return the uint8 pixels of images that were normalised."""
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (normalisation.mean, normalisation.std))
    return (255 * (x_BCHW * std + mean)).round().clamp(0, 255).to(torch.uint8)
