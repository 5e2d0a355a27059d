"""A chosen network trained on, its weights kept for `export`."""

from __future__ import annotations

import dataclasses

from ofa_hw.deploy.trained import TrainedRun
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig
from ofa_hw.training.finetune import FinetuneConfig, finetune


@dataclasses.dataclass(frozen=True, kw_only=True)
class TunedNet:
    """A fine-tuned subnet, its top-1 on the validation and test images before and after, and where its weights are."""

    arch_id: str
    val_top1_before: float
    val_top1: float
    test_top1_before: float
    test_top1: float
    weights: str


def finetune_chosen(
    run: RunFolder,
    arch: ArchConfig,
    config: FinetuneConfig,
    *,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> TunedNet:
    """Fine-tune `arch` from the supernet's weights, taught by its largest network; keep the weights for `export`.

    Raises:
        RunError: the supernet is not trained, or the loss is no longer finite.
        InvalidInputError: `arch` is not of the space of the run.
    """
    run.space.validate(arch)
    trained = TrainedRun(run)
    subnet = trained.judge.calibrated(arch)
    before = {split: trained.top1(subnet, arch, split) for split in ("val", "test")}
    finetune(subnet, trained.teacher, trained.images.train, arch.resolution, config, seed=seed, progress=progress)
    path = trained.keep(subnet, arch)
    return TunedNet(
        arch_id=arch.arch_id,
        val_top1_before=before["val"],
        val_top1=trained.top1(subnet, arch, "val"),
        test_top1_before=before["test"],
        test_top1=trained.top1(subnet, arch, "test"),
        weights=str(path),
    )
