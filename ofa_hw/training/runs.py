"""What training reads from a run folder and leaves in it: images, weights, the configuration that made them."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ofa_hw.errors import RunError
from ofa_hw.files import read_jsonl
from ofa_hw.formats.operations import Normalisation
from ofa_hw.images import BUILTIN, SMALL_SIZE, Augmentation, Dataset, ImageSet, load_dataset
from ofa_hw.nn import Supernet
from ofa_hw.nn.layers import channels_last
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import SearchSpace
from ofa_hw.training.batches import CPU, ImageBatches, JudgingImages, TrainingImages
from ofa_hw.training.checkpoint import read_weights, save_weights
from ofa_hw.training.config import AUGMENTATIONS, TrainingConfig, augmentation_from_dict
from ofa_hw.training.cpu import available_cores
from ofa_hw.training.estimate import estimate_seconds, in_words
from ofa_hw.training.finetune import FinetuneConfig
from ofa_hw.training.photos import DEFAULT_CACHE_BYTES, DecodedBatches, PhotoBatches, Reading
from ofa_hw.training.ranks import ALONE, Ranks
from ofa_hw.training.schedule import Phase, behind_largest
from ofa_hw.training.start import Start, normalisation_of, start_from
from ofa_hw.training.suitability import advice_on_images
from ofa_hw.training.trainer import CHECKPOINT_SECONDS, Trainer

logger = logging.getLogger(__name__)

IMPORTED_CALIBRATION = 2000
"""Images that re-estimate batch norm where others have trained, as once-for-all does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """The three splits of a run as batches, normalised alike."""

    train: TrainingImages
    val: JudgingImages
    test: JudgingImages

    def prepare(self, num_calibration_images: int, ranks: Ranks) -> None:
        """Decode what judging wants, where that is kept in files: the first process writes, the others read."""
        for is_turn in (ranks.is_first, not ranks.is_first):
            if is_turn:
                _ = self.train.draw(num_calibration_images).labels, self.val.labels
            ranks.wait()


def create_run(
    path: str | Path,
    *,
    space: SearchSpace,
    data: str,
    schedule: Callable[[int], tuple[Phase, ...]],
    batch_size: int = 64,
    precision: str = "fp32",
    average_decay: float = 0.0,
    weight_decay: float = TrainingConfig.weight_decay,
    label_smoothing: float = TrainingConfig.label_smoothing,
    augmentation: Augmentation | str | None = None,
    max_grad_norm: float = TrainingConfig.max_grad_norm,
    seed: int = 0,
    max_bad_images: int = 0,
    cache_bytes: int | None = None,
    source: RunFolder | None = None,
    progress: ProgressCallback = no_progress,
) -> RunFolder:
    """Make the run folder of a training that is about to start; the space takes the number of classes of the images.

    `schedule` is told the number of training images and returns the phases. `augmentation` is one of photos, or a name
    in `AUGMENTATIONS` (None: small images are shifted and mirrored, photos cut at random). Decoded photos are kept in
    `cache_bytes` at most.

    Training begins from the weights of `source` where one is given, and behind the phase of the largest network where
    its classes are those of `source`.

    Raises:
        DataError: the images cannot be used.
        RunError: the folder holds a run already, or the weights of `source` are not of `space`.
    """
    normalisation = normalisation_of(source) if source else None
    described, num_train_images = describe_images(
        space,
        data,
        folder=path,
        normalisation=normalisation,
        seed=seed,
        max_bad_images=max_bad_images,
        cache_bytes=cache_bytes,
        progress=progress,
    )
    if augmentation is None:
        augmentation = "shift-flip" if described["in_memory"] or space.resolutions[-1] <= SMALL_SIZE else "crop"
    how = {"augmentation": augmentation} if isinstance(augmentation, Augmentation) else AUGMENTATIONS[augmentation]
    start = start_from(source, space, described["classes"], seed=seed) if source else None
    phases = schedule(num_train_images)
    advice = None if data == BUILTIN else advice_on_images(data, space)
    if advice:
        logger.info(advice)
    training = TrainingConfig(
        phases=phases if start is None or start.has_new_classifier else behind_largest(phases),
        batch_size=batch_size,
        precision=precision,
        average_decay=average_decay,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        **how,
        max_grad_norm=max_grad_norm,
        seed=seed,
    )
    space = dataclasses.replace(space, num_classes=len(described["classes"]))
    config = {"space": space.to_dict(), "data": described, "training": training.to_dict()}
    return _create_from(start, RunFolder(Path(path)), RunFolder(Path(path)).start_path, config)


def move_run(
    source: RunFolder,
    path: str | Path,
    data: str,
    *,
    seed: int = 0,
    max_bad_images: int = 0,
    progress: ProgressCallback = no_progress,
) -> RunFolder:
    """Make the run folder `path` of the weights of `source` and the images `data`, on which nothing is trained yet.

    Where the classes are others the classifier is new: a network of it wants fine-tuning before it is of use.

    Raises:
        DataError: the images cannot be used.
        RunError: the folder holds a run already, or `source` is not trained.
    """
    run, space = RunFolder(Path(path)), source.space
    described, _ = describe_images(
        space,
        data,
        folder=path,
        normalisation=normalisation_of(source),
        seed=seed,
        max_bad_images=max_bad_images,
        progress=progress,
    )
    start = start_from(source, space, described["classes"], seed=seed)
    space = dataclasses.replace(space, num_classes=len(described["classes"]))
    return _create_from(start, run, run.supernet_path, {"space": space.to_dict(), "data": described})


def _create_from(start: Start | None, run: RunFolder, weights_path: Path, config: dict[str, Any]) -> RunFolder:
    """Make the folder of `run`, the weights of `start` at `weights_path`."""
    if start is not None:
        if run.config_path.exists():
            raise RunError(f"{run.path} already holds a run; choose another --run")
        # The folder is a run once it has its config.toml, so the weights come first.
        save_weights(weights_path, start.weights, {"start": start.sha256})
        config = config | {"start": start.to_dict()}
    return RunFolder.create(run.path, config)


def describe_images(
    space: SearchSpace,
    data: str,
    *,
    folder: str | Path | None = None,
    normalisation: Normalisation | None = None,
    seed: int = 0,
    max_bad_images: int = 0,
    cache_bytes: int | None = None,
    progress: ProgressCallback = no_progress,
) -> tuple[dict[str, Any], int]:
    """Return the table [data] of a run of `space` on the images `data`, and the number of training images.

    They are normalised as the weights want it, by `normalisation`, or where that is None by their own statistics. What
    is found of them is kept in the run's `folder`.

    Raises:
        DataError: the images cannot be used.
    """
    source = data if data == BUILTIN else str(Path(data).resolve())
    settings = {"source": source, "seed": seed, "max_bad_images": max_bad_images}
    dataset = _read_images(settings | {"in_memory": None}, folder, space, progress)
    size = space.resolutions[-1]
    if normalisation:
        mean, std = normalisation.mean, normalisation.std
    else:
        mean, std = dataset.channel_statistics(space.in_channels, size)
    described = {
        "image_size": dataset.train.pixels.shape[-1] if isinstance(dataset.train, ImageSet) else size,
        "in_memory": dataset.in_memory,
        "cache_bytes": DEFAULT_CACHE_BYTES if cache_bytes is None else cache_bytes,
        "classes": list(dataset.train.classes),
        "mean": list(mean),
        "std": list(std),
    }
    return settings | described, len(dataset.train)


def read_metrics(run: RunFolder) -> list[dict[str, Any]]:
    """Return the rows of the run's journal of training; [] where there is none."""
    return read_jsonl(run.metrics_path)


def open_images(
    run: RunFolder,
    *,
    device: torch.device = CPU,
    cache_bytes: int | None = None,
    num_workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> Images:
    """Return the splits that the run was made with, their batches on `device`.

    Photos are read by `num_workers` processes (None: this process's share of the cores, up to 8); those that judge are
    kept decoded in the run, in `cache_bytes` at most (None: what the run was made with).

    Raises:
        DataError: the images are gone or have other classes by now.
        RunError: config.toml does not say which images.
    """
    settings = _table(run, "data")
    dataset = _read_images(settings, run.path, run.space, progress)
    if list(dataset.train.classes) != settings["classes"]:
        raise RunError(f"{settings['source']} has other classes than when {run.path} was made; train a new run on it")
    # What imported weights were trained with is not known.
    augmentation = augmentation_from_dict(run.config.get("training", {}).get("augmentation"))
    cache_bytes = settings.get("cache_bytes", DEFAULT_CACHE_BYTES) if cache_bytes is None else cache_bytes
    space, mean, std = run.space, tuple(settings["mean"]), tuple(settings["std"])
    num_judged = len(dataset.val) + len(dataset.test) + _NUM_DRAWN
    reading = Reading(
        in_channels=space.in_channels,
        size=space.resolutions[-1],
        folder=run.images_path,
        kept_part=min(1.0, cache_bytes / (num_judged * space.in_channels * space.resolutions[-1] ** 2)),
        max_bad_images=settings["max_bad_images"],
        num_workers=default_workers() if num_workers is None else num_workers,
        progress=progress,
    )

    def judging(name: str) -> JudgingImages:
        part = getattr(dataset, name)
        if isinstance(part, ImageSet):
            return ImageBatches(part, mean=mean, std=std, device=device)
        return DecodedBatches(part, name, reading, mean=mean, std=std, device=device)

    train: TrainingImages
    if isinstance(dataset.train, ImageSet) and augmentation is None:
        train = ImageBatches(dataset.train, mean=mean, std=std, device=device)
    else:
        train = PhotoBatches(dataset.train, reading, augmentation, mean=mean, std=std, device=device)
    return Images(train=train, val=judging("val"), test=judging("test"))


_NUM_DRAWN = 1000
"""Training images that re-estimate batch norm, which take their part of what may be kept."""


def default_workers() -> int:
    """Return how many processes read images for this one: its share of the cores, 8 at most."""
    return min(8, max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def train_run(
    run: RunFolder,
    *,
    resume: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    cache_bytes: int | None = None,
    num_workers: int | None = None,
    ranks: Ranks = ALONE,
    progress: ProgressCallback = no_progress,
) -> None:
    """Train the supernet of `run` to the end of its schedule; with `resume` from its last checkpoint.

    A checkpoint is written every `checkpoint_seconds` at most, and at SIGINT or SIGTERM after the step at hand. The
    processes `ranks` train together; the first writes. `cache_bytes` and `num_workers` are as for `open_images`, and
    change nothing of what is learnt.

    Raises:
        RunError: there is progress that `resume` was not asked to continue, a checkpoint is damaged, training loses
            what it has learnt again and again, or another process works on the run.
    """
    with run.locked() if ranks.is_first else nullcontext():
        is_done, is_begun = run.supernet_path.exists(), any(run.checkpoints_path.glob("*.safetensors"))
        ranks.wait()
        if is_done and resume:
            return
        if is_begun and not resume:
            raise RunError(f"{run.path} holds a training already; go on with --resume, or choose another --run")
        training = training_config(run)
        images = open_images(
            run, device=ranks.device, cache_bytes=cache_bytes, num_workers=num_workers, progress=progress
        )
        images.prepare(training.num_calibration_images, ranks)
        net = Supernet(run.space, generator=torch.Generator().manual_seed(training.seed))
        if "start" in run.config:
            net.load_state_dict(read_weights(run.start_path, net.state_dict()))
        else:
            net.start_alike()
        trainer = Trainer(
            net,
            training,
            run,
            train=images.train,
            val=images.val,
            ranks=ranks,
            checkpoint_seconds=checkpoint_seconds,
        )
        if not trainer.resume() and ranks.is_first:
            num_images = sum(phase.num_steps(training.batch_size) for phase in training.phases) * training.batch_size
            cost = in_words(estimate_seconds(net, training))
            logger.info("%s images in %d phases, about %s here", f"{num_images:,}", len(training.phases), cost)
        trainer.train(progress)


def finetune_config(run: RunFolder, *, num_images: int, learning_rate: float = 0.1) -> FinetuneConfig:
    """Return how networks of `run` are fine-tuned: as its supernet was trained, by default where it was imported."""
    if "training" not in run.config:
        return FinetuneConfig(num_images=num_images, learning_rate=learning_rate)
    return FinetuneConfig.like(training_config(run), num_images=num_images, learning_rate=learning_rate)


def training_config(run: RunFolder) -> TrainingConfig:
    """Return the training configuration that config.toml keeps; RunError where it lacks one."""
    return TrainingConfig.from_dict(dict(_table(run, "training")))


def num_calibration_images(run: RunFolder) -> int:
    """Return how many training images re-estimate batch norm before a subnet of `run` is judged."""
    return training_config(run).num_calibration_images if "training" in run.config else IMPORTED_CALIBRATION


def load_supernet(run: RunFolder, *, device: torch.device = CPU) -> Supernet:
    """Return the trained supernet of `run`, in eval mode, on `device`.

    Raises:
        RunError: it is not trained yet, or its weights are damaged or of another space.
    """
    path = run.require(run.supernet_path, "ofa-hw train --resume")
    net = Supernet(run.space)
    net.load_state_dict(read_weights(path, net.state_dict()))
    return channels_last(net.to(device)).eval()


def _read_images(
    settings: Mapping[str, Any], folder: str | Path | None, space: SearchSpace, progress: ProgressCallback
) -> Dataset:
    return load_dataset(
        settings["source"],
        in_channels=space.in_channels,
        image_size=space.resolutions[-1],
        seed=settings["seed"],
        max_bad_images=settings["max_bad_images"],
        in_memory=settings.get("in_memory", True),  # a run of before has all in memory
        index_folder=None if folder is None else RunFolder(Path(folder)).images_path,
        progress=progress,
    )


def _table(run: RunFolder, name: str) -> Mapping[str, Any]:
    try:
        return run.config[name]
    except KeyError as error:
        remedy = "make the run with `ofa-hw train`"
        if name == "data" and "imported" in run.config:
            remedy = f"give the imported weights their images: `ofa-hw data FOLDER --run {run.path}`"
        raise RunError(f"{run.config_path} must have a table [{name}]; {remedy}") from error
