"""Images classified by an exported network, prepared as they are when the networks of its run are judged."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
from scipy.special import softmax

from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.exported import ExportedFile, open_exported
from ofa_hw.images import ImageSet
from ofa_hw.images.decode import read_image
from ofa_hw.run import RunFolder
from ofa_hw.status import best_exported
from ofa_hw.training.batches import ImageBatches


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classified:
    """What a network says of an image: labels with their softmax, the greatest first, and the ms of this execution."""

    image: Path
    classes: tuple[tuple[str, float], ...]
    ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
    """An exported network; `why` says why it is this one of its run, None where a file was named.

    `image_size` is that of the squares which images are cropped to before they are scaled.
    """

    file: ExportedFile
    image_size: int
    why: str | None = None

    @classmethod
    def open(cls, source: str | Path) -> Classifier:
        """Return the network of `source`: an exported file, or of a run folder its verified or else last exported one.

        Raises:
            InvalidInputError: `source` is neither.
            RunError: the run has exported nothing yet.
            DeviceError, MissingDependencyError: the file's runtime cannot open it, or is not installed.
        """
        source = Path(source)
        path, why = best_exported(RunFolder.open(source)) if source.is_dir() else (source, None)
        file = open_exported(path)
        return cls(file=file, image_size=_stored_size(file), why=why)

    def classify(self, image: str | Path, *, top: int = 3) -> Classified:
        """Return the `top` labels of the image at this path; DataError where it is no whole image."""
        file = self.file
        pixels = read_image(Path(image), in_channels=file.in_channels, image_size=self.image_size)[None]
        # Pixels that the file normalises itself are scaled as they are.
        mean, std = ((0.0,), (1 / 255,)) if file.takes_pixels else (file.mean, file.std)
        images = ImageSet(pixels=pixels, labels=np.zeros(1, np.int64), classes=file.labels)
        x_BCHW = next(ImageBatches(images, mean=mean, std=std).all_at(file.resolution, 1)).contiguous().numpy()
        if file.takes_pixels:
            x_BCHW = x_BCHW.round().clip(0, 255).astype(np.uint8)
        began = time.perf_counter()
        logits = file.run(np.ascontiguousarray(x_BCHW))[0]
        ms = 1000 * (time.perf_counter() - began)
        if len(logits) != len(file.labels):
            raise InvalidInputError(
                f"{file.path} has {len(file.labels)} labels for {len(logits)} logits; export it again"
            )
        shares = softmax(logits.astype(np.float64))
        order = np.argsort(-shares, kind="stable")[:top]
        return Classified(image=Path(image), classes=tuple((file.labels[k], float(shares[k])) for k in order), ms=ms)


def _stored_size(file: ExportedFile) -> int:
    """Return the size that the file tells; of an older one its run's, else that of its input."""
    if file.image_size is not None:
        return file.image_size
    folder = file.path.resolve().parent.parent
    return RunFolder(folder).space.resolutions[-1] if (folder / "config.toml").is_file() else file.resolution
