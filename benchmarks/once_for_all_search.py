"""The evolution of PyPI's `ofa`: with its own table and predictor, and on ours, as cheap as they can be made for it."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.once_for_all import import_peer, make_peer
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.additive import AdditiveTerms, find_terms
from ofa_hw.space import SearchSpace

POPULATION_SIZE = 100


class _Table:
    """A latency by one look-up for each block, over plain lists: less than the peer's own table does."""

    def __init__(self, terms: AdditiveTerms) -> None:
        space = terms.space
        self._base = terms.base.tolist()
        self._depth, self._choice = terms.depth.tolist(), terms.choice.tolist()
        self._resolutions = {size: index for index, size in enumerate(space.resolutions)}
        self._kernels = {size: index * len(space.expand_ratios) for index, size in enumerate(space.kernel_sizes)}
        self._ratios = {ratio: index for index, ratio in enumerate(space.expand_ratios)}

    def get_efficiency(self, sample: dict[str, Any]) -> float:
        """Return the latency in milliseconds."""
        resolution = self._resolutions[sample["image_size"]]
        of_depths, of_blocks = self._depth[resolution], self._choice[resolution]
        total = self._base[resolution]
        for stage, depth in enumerate(sample["d"]):
            total += of_depths[stage][depth - 2]
            for position in range(4 * stage, 4 * stage + depth):
                kernel, ratio = sample["ks"][position], sample["e"][position]
                total += of_blocks[position][self._kernels[kernel] + self._ratios[ratio]]
        return total


class _Predictor:
    """Our predictor behind the peer's interface: a list of its dictionaries in, a tensor out."""

    def __init__(self, predictor: AccuracyPredictor, space: SearchSpace, encoder: Any) -> None:
        self._predictor, self._space, self.arch_encoder = predictor, space, encoder
        self._resolutions = np.array(predictor.space.resolutions)
        self._ratios = np.array(space.expand_ratios)

    def predict_acc(self, samples: list[dict[str, Any]]) -> torch.Tensor:
        """Return top-1 fractions (n,)."""
        genes = np.zeros((len(samples), self._space.num_genes), dtype=np.int8)
        columns = self._space.columns
        genes[:, 0] = np.searchsorted(self._resolutions, [sample["image_size"] for sample in samples])
        genes[:, columns["depth"]] = np.array([sample["d"] for sample in samples]) - 2
        genes[:, columns["kernel_size"]] = (np.array([sample["ks"] for sample in samples]) - 3) // 2
        genes[:, columns["expand_ratio"]] = np.searchsorted(self._ratios, np.array([sample["e"] for sample in samples]))
        return torch.from_numpy(self._predictor.predict_top1(genes))


def evolve(
    space: SearchSpace, predictor: AccuracyPredictor, latency: Any, *, limit_ms: float, num_generations: int
) -> tuple[float, float]:
    """Return the architectures predicted a second, and the best top-1 found within `limit_ms`."""
    terms = find_terms(space, latency.evaluate)
    assert terms is not None
    encoder = _module("accuracy_predictor.arch_encoder").MobileNetArchEncoder(
        image_size_list=list(space.resolutions), expand_list=list(space.expand_ratios)
    )
    finder = _module("search_algorithm.evolution").EvolutionFinder(
        _Table(terms), _Predictor(predictor, space, encoder), population_size=POPULATION_SIZE
    )
    seconds, best = _run(finder, limit_ms, num_generations)
    return POPULATION_SIZE * (num_generations + 1) / seconds, best


def evolve_as_shipped(table: Path, *, num_generations: int) -> float:
    """Return the architectures predicted a second with its own classes for predictor, table and network.

    The predictor's weights are random, which costs the same. `table` is one of the Note10, 224 px, as published.
    """
    encoder = _module("accuracy_predictor.arch_encoder").MobileNetArchEncoder(image_size_list=[224])
    predictor = _module("accuracy_predictor.acc_predictor").AccuracyPredictor(encoder, device="cpu").eval()
    latency = object.__new__(_module("efficiency_predictor").Mbv3LatencyModel)
    latency.ofa_net = make_peer("ofa-mobilenetv3-w1.2")
    own_table = object.__new__(_module("efficiency_predictor").MBv3LatencyTable)
    own_table.lut = yaml.load(table.read_text(), Loader=yaml.CSafeLoader)
    latency.latency_tables = {224: own_table}
    finder = _module("search_algorithm.evolution").EvolutionFinder(latency, predictor, population_size=POPULATION_SIZE)
    limit_ms = float(np.median([latency.get_efficiency(encoder.random_sample_arch()) for _ in range(50)]))
    with torch.no_grad():
        seconds, _ = _run(finder, limit_ms, num_generations)
    return POPULATION_SIZE * (num_generations + 1) / seconds


def _run(finder: Any, limit_ms: float, num_generations: int) -> tuple[float, float]:
    """Return the seconds of the evolution and the best top-1."""
    begin = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        _, best = finder.run_evolution_search(limit_ms, max_time_budget=num_generations)
    return time.perf_counter() - begin, float(best[0])


def _module(name: str) -> Any:
    return import_peer(f"ofa.nas.{name}")
