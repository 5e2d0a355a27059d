"""`TrainedRun`: a run whose supernet is trained, and the networks that can be taken out of it."""

from __future__ import annotations

import functools
from pathlib import Path

from torch import nn

from ofa_hw.files import sha256_of
from ofa_hw.nn import build_subnet
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training.checkpoint import read_weights, save_weights
from ofa_hw.training.evaluate import SubnetJudge, corner_archs, predict_logits, score_logits
from ofa_hw.training.runs import Images, load_supernet, num_calibration_images, open_images
from ofa_hw.training.start import has_blank_classifier


class TrainedRun:
    """The networks of a trained run; images and supernet are read when they are first asked for.

    Errors are raised then: RunError where the supernet is not trained, or a file is damaged.
    """

    def __init__(self, folder: RunFolder, *, cache_bytes: int | None = None) -> None:
        """Take the networks out of the run in `folder`, of which decoded photos take `cache_bytes` at most."""
        self.folder, self.space, self.cache_bytes = folder, folder.space, cache_bytes

    @functools.cached_property
    def images(self) -> Images:
        """The images that the run is about."""
        return open_images(self.folder, cache_bytes=self.cache_bytes)

    @functools.cached_property
    def checkpoint(self) -> str:
        """The hash of the supernet's weights."""
        return sha256_of(self.folder.supernet_path)

    @functools.cached_property
    def judge(self) -> SubnetJudge:
        """What takes networks out of the supernet, with batch-norm statistics of their own."""
        return SubnetJudge(
            load_supernet(self.folder),
            self.images.train,
            self.images.val,
            num_calibration_images=num_calibration_images(self.folder),
            checkpoint=self.checkpoint,
        )

    @functools.cached_property
    def teacher(self) -> nn.Sequential | None:
        """The largest network, which teaches others in fine-tuning; None where it does not know the classes."""
        if has_blank_classifier(self.folder):
            return None
        return self.judge.calibrated(self.space.largest).requires_grad_(False)

    def weights_path(self, arch: ArchConfig) -> Path:
        """Return where the fine-tuned weights of `arch` are kept."""
        return self.folder.exported_path / f"{arch.arch_id}.safetensors"

    def keep(self, subnet: nn.Module, arch: ArchConfig) -> Path:
        """Keep the fine-tuned weights of `arch`, and return their file."""
        path = self.weights_path(arch)
        save_weights(path, subnet.state_dict(), {"arch": arch.to_json()})
        return path

    def finetuned(self, arch: ArchConfig) -> nn.Sequential:
        """Return `arch` with the fine-tuned weights that were kept; RunError where they are missing or damaged."""
        subnet, path = build_subnet(self.space, arch), self.weights_path(arch)
        subnet.load_state_dict(read_weights(path, subnet.state_dict()))
        return subnet.eval()

    def best(self, arch: ArchConfig) -> tuple[nn.Sequential, bool]:
        """Return `arch` as a network with the best weights that the run has, and whether these are fine-tuned.

        Raises:
            RunError: the supernet is not trained, or the weights are damaged.
            InvalidInputError: `arch` is not of the space of the run.
        """
        self.space.validate(arch)
        is_finetuned = self.weights_path(arch).exists()
        return (self.finetuned(arch) if is_finetuned else self.judge.calibrated(arch)), is_finetuned

    def top1(self, subnet: nn.Module, arch: ArchConfig, split: str) -> float:
        """Return the top-1 of `subnet` on the images of `split`: `val` or `test`."""
        images = getattr(self.images, split)
        return score_logits(predict_logits(subnet, images, arch.resolution), images.labels).top1

    def corner_test_top1(self) -> dict[str, float]:
        """Return the top-1 of the largest, middle and smallest subnet on the test images, not fine-tuned."""
        return {
            name: self.top1(self.judge.calibrated(arch), arch, "test")
            for name, arch in corner_archs(self.space).items()
        }
