"""An ensemble of small multi-layer perceptrons in NumPy: their mean predicts, their spread shows the uncertainty.

All members are trained side by side as one batched matrix product. Shapes: M members, N rows, F features, H hidden.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.predictor.encoding import Features

Array = npt.NDArray[np.float32]

NUM_MEMBERS = 4
HIDDEN_SIZES = (64, 64)
LEARNING_RATE = 3e-3
WEIGHT_DECAYS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidates, for data with little noise to data with much; a step decays by the learning rate times this (AdamW)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlpEnsemble:
    """Layers of all members, weights (M, inputs, outputs) and biases (M, 1, outputs), float32.

    The last layer gives scores in units of `scale` around `offset`.

    Raises:
        ValueError: the shapes of the layers do not follow each other.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    offset: float
    scale: float

    def __post_init__(self) -> None:
        inputs = [weight.shape[:2] for weight in self.weights]
        outputs = [(bias.shape[0], bias.shape[2]) for bias in self.biases if bias.ndim == 3 and bias.shape[1] == 1]
        wanted = [(*before, after[1]) for before, after in zip(inputs, outputs, strict=True)]
        if inputs[1:] != outputs[:-1] or outputs[-1][1] != 1 or wanted != [weight.shape for weight in self.weights]:
            raise ValueError(f"layers must follow each other; they are {[weight.shape for weight in self.weights]}")

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of the members' scores, each (N,)."""
        scores_MN = self.predict_members(features)
        return scores_MN.mean(axis=0), scores_MN.std(axis=0)

    def predict_members(self, features: Features) -> FloatArray:
        """Return each member's scores (M, N)."""
        num_members, num_features, num_hidden = self.weights[0].shape
        # All members read the same features: one wide product instead of M narrow ones.
        wide_FH = self.weights[0].transpose(1, 0, 2).reshape(num_features, -1)
        hidden = (features @ wide_FH).reshape(len(features), num_members, num_hidden).transpose(1, 0, 2)
        hidden = _silu(hidden + self.biases[0])
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            hidden = _silu(hidden @ weight + bias)
        scores_MN = (hidden @ self.weights[-1] + self.biases[-1])[..., 0]
        return self.offset + self.scale * scores_MN.astype(np.float64)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return all that the ensemble holds, by name; `from_arrays` reads it back."""
        arrays: dict[str, npt.NDArray[np.generic]] = {"scaling": np.array([self.offset, self.scale])}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"layer{layer}.weight": weight, f"layer{layer}.bias": bias}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> MlpEnsemble:
        """Return the ensemble that `to_arrays` wrote; KeyError where an array is missing."""
        num_layers = max(1, sum(name.endswith(".weight") for name in arrays))
        offset, scale = arrays["scaling"].astype(np.float64)
        return cls(
            weights=tuple(arrays[f"layer{layer}.weight"].astype(np.float32) for layer in range(num_layers)),
            biases=tuple(arrays[f"layer{layer}.bias"].astype(np.float32) for layer in range(num_layers)),
            offset=float(offset),
            scale=float(scale),
        )


def fit_mlp(
    features: Features,
    scores: FloatArray,
    *,
    seed: int,
    weight_decay: float | tuple[float, ...],
    num_members: int = NUM_MEMBERS,
) -> MlpEnsemble:
    """Return an ensemble fitted to `scores` (N,) by AdamW with a cosine schedule and the squared error.

    Each member has its own initial weights and its own order of the rows, and with a tuple its own weight decay.
    Features that never vary in these rows get no weight, so that a choice which was never seen has no effect.
    """
    rng = np.random.default_rng(seed)
    offset, scale = float(scores.mean()), float(scores.std()) or 1.0
    target_N1 = ((scores - offset) / scale).astype(np.float32)[:, None]
    center = features.mean(axis=0)
    centered = features - center
    sizes = (features.shape[1], *HIDDEN_SIZES, 1)
    # He's rule assumes inputs of variance 1. One-hot inputs have less: their summed variance takes the place of fan-in.
    fan_ins = (float((centered**2).sum(axis=1).mean()) or 1.0, *HIDDEN_SIZES)
    weights = [
        (rng.standard_normal((num_members, inputs, outputs)) * np.sqrt(2 / fan_in)).astype(np.float32)
        for inputs, outputs, fan_in in zip(sizes, sizes[1:], fan_ins, strict=False)
    ]
    # Their gradient is 0, as they are centred, so that the weights stay 0.
    weights[0] *= (features.std(axis=0) > 0)[:, None]
    # Start near the mean of the scores.
    weights[-1] *= np.float32(0.1)
    biases = [np.zeros((num_members, 1, outputs), dtype=np.float32) for outputs in sizes[1:]]

    decay = np.broadcast_to(np.asarray(weight_decay, dtype=np.float32), (num_members,))[:, None, None]
    optimizer = _AdamW(weights + biases, decay=[decay] * len(weights) + [None] * len(biases))
    batch_size, num_steps = _schedule(len(features))
    for step, rows in enumerate(_batches(len(features), batch_size, num_steps, num_members, rng)):
        gradients = _gradients(weights, biases, centered[rows], target_N1[rows])
        optimizer.step(gradients, learning_rate=LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / num_steps)))
    # Training saw centred features; prediction takes them as they are.
    biases[0] = biases[0] - center @ weights[0][:, None]
    return MlpEnsemble(weights=tuple(weights), biases=tuple(biases), offset=offset, scale=scale)


def choose_weight_decay(features: Features, scores: FloatArray, *, seed: int) -> float:
    """Return the candidate of `WEIGHT_DECAYS` whose two members predict a held-out fifth of the rows best."""
    order = np.random.default_rng(seed).permutation(len(features))
    # Two members for each candidate, all trained at once: hence the tuple twice.
    held_out, rest = np.split(order, [max(1, len(order) // 5)])
    ensemble = fit_mlp(
        features[rest], scores[rest], seed=seed, weight_decay=WEIGHT_DECAYS * 2, num_members=2 * len(WEIGHT_DECAYS)
    )
    scores_by_decay = ensemble.predict_members(features[held_out]).reshape(2, len(WEIGHT_DECAYS), -1).mean(axis=0)
    errors = ((scores_by_decay - scores[held_out]) ** 2).mean(axis=1)
    return WEIGHT_DECAYS[int(errors.argmin())]


class _AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101), in place on `parameters`."""

    def __init__(self, parameters: list[Array], *, decay: list[Array | None]) -> None:
        self._parameters, self._decay = parameters, decay
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]
        self._num_steps = 0

    def step(self, gradients: list[Array], *, learning_rate: float) -> None:
        self._num_steps += 1
        # Decay rates 0.9 and 0.99; the first correction is part of the rate.
        rate = np.float32(learning_rate / (1 - 0.9**self._num_steps))
        unbias = np.float32(1 / (1 - 0.99**self._num_steps))
        for index, gradient in enumerate(gradients):
            parameter, decay = self._parameters[index], self._decay[index]
            self._means[index] += np.float32(0.1) * (gradient - self._means[index])
            self._squares[index] += np.float32(0.01) * (gradient * gradient - self._squares[index])
            if decay is not None:
                parameter *= 1 - np.float32(learning_rate) * decay
            parameter -= rate * self._means[index] / (np.sqrt(self._squares[index] * unbias) + np.float32(1e-8))


def _schedule(num_rows: int) -> tuple[int, int]:
    """Return the batch size and the number of steps: 1000 small batches for few rows, at most 10,000 for many."""
    if num_rows < 2000:
        return min(num_rows, 64), 1000
    return 128, min(max(3000, num_rows), 10_000)


def _batches(
    num_rows: int, batch_size: int, num_steps: int, num_members: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield `num_steps` matrices (M, batch_size) of rows; each member goes through all rows in its own order."""
    order, begin = np.empty((num_members, 0), dtype=np.int64), 0
    for _ in range(num_steps):
        if begin + batch_size > order.shape[1]:
            # A new epoch; the end of the last one, too short for a batch, is skipped.
            order, begin = np.stack([rng.permutation(num_rows) for _ in range(num_members)]), 0
        yield order[:, begin : begin + batch_size]
        begin += batch_size


def _gradients(weights: list[Array], biases: list[Array], inputs_MNF: Array, target_MN1: Array) -> list[Array]:
    """Return the gradients of the mean squared error, of the weights and then of the biases."""
    layers, sums = [inputs_MNF], []
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        sums.append(layers[-1] @ weight + bias)
        layers.append(_silu(sums[-1]))
    # The derivative of the mean of squares over the batch.
    upstream = (layers[-1] @ weights[-1] + biases[-1] - target_MN1) * np.float32(2 / inputs_MNF.shape[1])
    of_weights, of_biases = [], []
    for layer in reversed(range(len(weights))):
        of_weights.append(layers[layer].transpose(0, 2, 1) @ upstream)
        of_biases.append(upstream.sum(axis=1, keepdims=True))
        if layer:
            upstream = (upstream @ weights[layer].transpose(0, 2, 1)) * _silu_slope(sums[layer - 1])
    return of_weights[::-1] + of_biases[::-1]


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _silu_slope(x: Array) -> Array:
    gate = _sigmoid(x)
    return gate * (1 + x * (1 - gate))


def _sigmoid(x: Array) -> Array:
    # tanh cannot overflow, exp can.
    gate: Array = np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + 1)
    return gate
