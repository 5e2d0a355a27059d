"""The evolution of PyPI's `ofa` on our table and our predictor, as cheap for it as they can be made."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.once_for_all import import_peer
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.search.additive import AdditiveTerms, find_terms
from ofa_hw.space import SearchSpace


class _Table:
    """A latency by one look-up for each block, over plain lists: less than the peer's own table does."""

    def __init__(self, terms: AdditiveTerms) -> None:
        space = terms.space
        self._base = terms.base.tolist()
        self._depth, self._choice = terms.depth.tolist(), terms.choice.tolist()
        self._resolutions = {size: index for index, size in enumerate(space.resolutions)}
        self._kernels = {size: index * len(space.expand_ratios) for index, size in enumerate(space.kernel_sizes)}
        self._ratios = {ratio: index for index, ratio in enumerate(space.expand_ratios)}
        self.num_scored = 0

    def get_efficiency(self, sample: dict[str, Any]) -> float:
        """Return the latency in milliseconds."""
        self.num_scored += 1
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
        first = self._space.first_position_gene
        genes[:, 0] = np.searchsorted(self._resolutions, [sample["image_size"] for sample in samples])
        genes[:, 1:first] = np.array([sample["d"] for sample in samples]) - 2
        genes[:, first::2] = (np.array([sample["ks"] for sample in samples]) - 3) // 2
        genes[:, first + 1 :: 2] = np.searchsorted(self._ratios, np.array([sample["e"] for sample in samples]))
        return torch.from_numpy(self._predictor.predict_top1(genes))


def evolve(
    space: SearchSpace, predictor: AccuracyPredictor, latency: Any, *, limit_ms: float, num_generations: int
) -> tuple[int, float, float]:
    """Return the architectures scored, the seconds that took, and the best top-1 found within `limit_ms`."""
    encoder_module = import_peer("ofa.nas.accuracy_predictor.arch_encoder")
    evolution_module = import_peer("ofa.nas.search_algorithm.evolution")

    terms = find_terms(space, latency.evaluate)
    assert terms is not None
    table = _Table(terms)
    encoder = encoder_module.MobileNetArchEncoder(
        image_size_list=list(space.resolutions), expand_list=list(space.expand_ratios)
    )
    finder = evolution_module.EvolutionFinder(table, _Predictor(predictor, space, encoder))
    begin = time.perf_counter()
    _, best = finder.run_evolution_search(limit_ms, verbose=True, max_time_budget=num_generations)
    return table.num_scored, time.perf_counter() - begin, float(best[0])
