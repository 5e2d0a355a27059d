"""A run with samples and a table that were invented, for tests of the search."""

import dataclasses

import numpy as np

from ofa_hw.blocks import block_macs, unique_block_specs
from ofa_hw.lut import LatencyTable
from ofa_hw.predictor import AccuracyPredictor, EvaluatedArch, write_samples
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from tests.lut.example import CONDITIONS, measurement

SPACE = get_space("fashion")


def quality(space, genes):
    """Top-1 that grows with every choice and saturates."""
    return 0.78 + 0.12 * np.tanh(1.5 * genes.sum(axis=1) / space.num_genes)


def samples(num=150, seed=0, space=SPACE):
    rng = np.random.default_rng(seed)
    genes = space.sample_genes(num, rng)
    return [
        EvaluatedArch(
            arch=arch,
            top1=float(np.clip(value + rng.normal(0, 0.003), 0, 1)),
            mean_true_prob=float(value - 0.1),
            mean_log_likelihood=float(-2 * (1 - value)),
            num_images=800,
            checkpoint="invented",
        )
        for arch, value in zip(space.decode(genes), quality(space, genes), strict=True)
    ]


def predictor(model="ridge", space=SPACE):
    return AccuracyPredictor.fit_samples(space, samples(space=space), model=model, num_folds=3)


def table(device="example", space=SPACE, macs_per_ms=7e6, large_kernels=1.0):
    """A table whose blocks cost by their MACs; those with kernels above 3 `large_kernels` times as much."""
    conditions = dataclasses.replace(CONDITIONS, device=device)
    rows = []
    for spec in unique_block_specs(space):
        ms = (0.002 + block_macs(spec) / macs_per_ms) * (large_kernels if spec.kernel_size > 3 else 1.0)
        rows.append(dataclasses.replace(measurement(spec, ms), conditions=conditions))
    return LatencyTable(space=space.name, measurements=tuple(rows))


def run(path, space=SPACE, *, fitted=True):
    """Make a run folder at `path` with samples and, where `fitted`, a predictor."""
    folder = RunFolder.create(path, {"space": space.to_dict()})
    write_samples(folder.samples_path, samples(space=space))
    if fitted:
        predictor(space=space).save(folder.predictor_path)
    return folder


def narrowed(space=SPACE, *resolutions):
    return dataclasses.replace(space, resolutions=tuple(resolutions))
