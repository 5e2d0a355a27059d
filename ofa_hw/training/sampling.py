"""The predictor's training data: scores of many subnets of one supernet, in a journal that can be continued."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from ofa_hw.errors import RunError
from ofa_hw.files import sha256_of
from ofa_hw.predictor.samples import EvaluatedArch, append_sample, read_samples
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace
from ofa_hw.training.evaluate import SubnetJudge, evaluate_all, sorted_by_prefix
from ofa_hw.training.ranks import ALONE, Ranks
from ofa_hw.training.runs import load_supernet, num_calibration_images, open_images
from ofa_hw.training.start import require_classifier

SORTED_TOGETHER = 1000
"""Subnets in a round, which is sorted. More of them share more blocks; but the last round of an interrupted call is a
part of a sorted list, no uniform sample, while all rounds before it are whole."""


def draw_distinct(space: SearchSpace, num: int, seed: int) -> list[ArchConfig]:
    """Return `num` different architectures, drawn uniformly; fewer where the space has no more.

    The first n of a longer list are the list of n.
    """
    # A stream of its own: another use of the same seed must not draw the same networks.
    rng = np.random.default_rng([seed, 0x5A3])
    found: dict[ArchConfig, None] = {}
    num = min(num, space.num_archs)
    for _ in range(1000):
        for arch in space.sample(num, rng):
            if len(found) == num:
                return list(found)
            found.setdefault(arch)
    return list(found)


def sample_run(
    run: RunFolder,
    num: int,
    *,
    archs: Sequence[ArchConfig] | None = None,
    seed: int = 0,
    num_workers: int = 2,
    cache_bytes: int | None = None,
    ranks: Ranks = ALONE,
    progress: ProgressCallback = no_progress,
) -> list[EvaluatedArch]:
    """Evaluate `num` subnets of `run` on its validation images; those already in its journal count and are kept.

    They are drawn at random, or are the first of `archs` that the journal does not have. The processes `ranks` share
    the work; the first writes, and all return the same. Decoded photos are kept in `cache_bytes` at most.

    Raises:
        RunError: the supernet is not trained, the journal is of other weights, or another process works on the run.
    """
    with run.locked() if ranks.is_first else nullcontext():
        space = run.space
        require_classifier(run)
        net = load_supernet(run, device=ranks.device)
        images = open_images(run, device=ranks.device, cache_bytes=cache_bytes, progress=progress)
        images.prepare(num_calibration_images(run), ranks)
        checkpoint = sha256_of(run.supernet_path)
        done = read_samples(run.samples_path)
        ranks.wait()  # from here on the first process writes: all must have read the journal before
        if any(sample.checkpoint != checkpoint for sample in done):
            raise RunError(f"{run.samples_path} holds samples of other weights; remove it and sample again")
        judge = SubnetJudge(
            net,
            images.train,
            images.val,
            num_calibration_images=num_calibration_images(run),
            checkpoint=checkpoint,
        )
        known = {sample.arch for sample in done}
        if archs is None:
            wanted = draw_distinct(space, num, seed)
        else:
            wanted = [arch for arch in archs if arch not in known][: max(0, num - len(known))]
        num_in_all = len(known.union(wanted))
        # A round is sorted with what is done of it, so that an interrupted call ends with the rows of an unbroken one.
        for first in range(0, len(wanted), SORTED_TOGETHER):
            in_order = sorted_by_prefix(space, wanted[first : first + SORTED_TOGETHER])
            missing = [arch for arch in in_order if arch not in known]
            for sample in evaluate_all(judge, missing, num_workers=num_workers, ranks=ranks):
                if ranks.is_first:
                    run.require_there()
                    append_sample(run.samples_path, sample)
                done.append(sample)
                progress("evaluate subnets", len(done), num_in_all)
        return done
