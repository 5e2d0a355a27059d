"""A chosen network of a run as a file for its runtime, checked on the run's images, with its card beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ofa_hw import __version__
from ofa_hw.deploy.trained import TrainedRun
from ofa_hw.export import FORMATS, ExportCheck, choose_format, describe, export_subnet, model_card
from ofa_hw.files import write_text
from ofa_hw.formats.operations import Normalisation
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training.batches import JudgingImages

NUM_CALIBRATION_IMAGES = 500
"""Training images from which the scales of an int8 file are taken."""
MAX_COMPARED_BYTES = 1 << 29
"""Test images on which a file is compared with torch, as floats: 890 at 224 pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedNet:
    """The file, how it compares with torch on the test images, whether its weights are fine-tuned, and its card."""

    check: ExportCheck
    is_finetuned: bool
    card: Path


def export_chosen(
    run: RunFolder,
    arch: ArchConfig,
    format_name: str | None = None,
    path: Path | None = None,
    *,
    takes_pixels: bool = False,
    num_calibration_images: int = NUM_CALIBRATION_IMAGES,
    progress: ProgressCallback = no_progress,
) -> ExportedNet:
    """Write `arch` with the best weights that `run` has, and its card, a Markdown file of the same name.

    `format_name` None is that of the suffix of `path`, or TFLite. `path` None is a file of the run's folder of exports,
    named by `arch_id`, with `.pixels` behind it where it `takes_pixels`: such a file normalises by itself. The scales
    of an int8 file are those of `num_calibration_images` training images.

    Raises:
        RunError, InvalidInputError: as `TrainedRun.best`; or the suffix is of another format.
        ExportError: the file does not compute what the network computes.
    """
    format_name = choose_format(format_name, path)
    trained = TrainedRun(run)
    subnet, is_finetuned = trained.best(arch)
    check = export_network(
        trained,
        subnet,
        arch,
        format_name,
        path,
        is_finetuned=is_finetuned,
        takes_pixels=takes_pixels,
        num_calibration_images=num_calibration_images,
        progress=progress,
    )
    card = write_card(trained, check, arch, is_finetuned=is_finetuned, takes_pixels=takes_pixels)
    return ExportedNet(check=check, is_finetuned=is_finetuned, card=card)


def export_network(
    trained: TrainedRun,
    subnet: nn.Sequential,
    arch: ArchConfig,
    format_name: str,
    path: Path | None = None,
    *,
    is_finetuned: bool,
    takes_pixels: bool = False,
    num_calibration_images: int = NUM_CALIBRATION_IMAGES,
    progress: ProgressCallback = no_progress,
) -> ExportCheck:
    """Write `subnet`, a network of the run, and compare it with torch on the test images; as `export_chosen`."""
    images = trained.images
    normalisation = Normalisation(mean=images.test.mean, std=images.test.std) if takes_pixels else None
    compared = _few(images.test, trained.space.in_channels * arch.resolution**2)
    test, is_int8 = _all(compared, arch), FORMATS[format_name].dtype == "int8"
    name = f"{arch.arch_id}{'.pixels' if takes_pixels else ''}{FORMATS[format_name].suffix}"
    return export_subnet(
        subnet,
        trained.space,
        arch,
        path or trained.folder.exported_path / name,
        format_name,
        images=_pixels(test, normalisation) if normalisation else test,
        labels=compared.labels,
        calibration=_all(images.train.draw(num_calibration_images), arch) if is_int8 else None,
        normalisation=normalisation,
        metadata=_metadata(trained, is_finetuned=is_finetuned),
        progress=progress,
    )


def write_card(
    trained: TrainedRun,
    check: ExportCheck,
    arch: ArchConfig,
    *,
    is_finetuned: bool,
    takes_pixels: bool = False,
    timing: str = "",
) -> Path:
    """Write the card of an exported file beside it, with what its `timing` was, and return the card's file."""
    metadata = _metadata(trained, is_finetuned=is_finetuned)
    path = check.path.with_name(f"{check.path.name}.md")
    write_text(
        path, model_card(check, trained.space, arch, metadata=metadata, takes_pixels=takes_pixels, timing=timing)
    )
    return path


def _metadata(trained: TrainedRun, *, is_finetuned: bool) -> Mapping[str, str]:
    """Return what an exported file tells its user: labels, normalisation, and where its weights come from."""
    config = trained.folder.config
    data, training = config["data"], config.get("training", {})
    provenance = {
        "tool": f"ofa-hw {__version__}, torch {torch.__version__}",
        "run": trained.folder.path.resolve().name,
        "images": Path(data.get("source", "unknown")).name,
        "training_seed": training.get("seed"),
        **({"imported_sha256": config["imported"]["sha256"]} if "imported" in config else {}),
        "supernet_sha256": trained.checkpoint,
        "weights": "fine-tuned for this network" if is_finetuned else "as in the supernet",
    }
    size = {"image_size": str(data.get("image_size", trained.space.resolutions[-1]))}
    return {**describe(data["classes"], data["mean"], data["std"]), **size, "provenance": json.dumps(provenance)}


def _few(images: JudgingImages, num_values: int) -> JudgingImages:
    """Return `images`, of `num_values` numbers each, or as many of them as are held at once."""
    limit = max(1, MAX_COMPARED_BYTES // (4 * num_values))
    return images if len(images) <= limit else images.draw(limit)


def _all(images: JudgingImages, arch: ArchConfig) -> Tensor:
    return torch.cat(list(images.all_at(arch.resolution, 250)))


def _pixels(x_BCHW: Tensor, normalisation: Normalisation) -> Tensor:
    """Return the uint8 pixels of images that were normalised."""
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (normalisation.mean, normalisation.std))
    return (255 * (x_BCHW * std + mean)).round().clamp(0, 255).to(torch.uint8)
