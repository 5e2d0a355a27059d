"""From a sum of blocks to a network's latency: a + b sum + c parameters + d blocks + e large kernels.

Timed alone in a loop, a block finds its weights in the cache; in a network it does not: that traffic is the third term.
A block timed alone includes a call of its runtime, which a network needs only once: that is the fourth, and it matters
in networks that take microseconds. Blocks of the largest kernel suffer most from a cold cache, if the runtime has no
single-pass kernel for them: without the fifth term, XNNPACK's 7 x 7 adds half to the error on networks that have some.
The fit is least squares of relative errors with a weak prior (b = 1, all others 0), which matters only below about ten
networks. Intervals use the fit's covariance and an error pooled over fitted and held-out networks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ofa_hw.arrays import FloatArray
from ofa_hw.blocks import block_macs, block_params, largest_kernel
from ofa_hw.errors import InvalidInputError
from ofa_hw.profiling.measurement import MAX_MS, NetworkMeasurement

MIN_NETWORKS = 3
_PRIOR_SCALE = 0.15
"""Standard deviations of the prior: of b around 1, and of the share that each other term has in a latency around 0."""
_SMALLEST_ERROR = 1e-3
"""Of the relative error that the fit assumes, so that few networks which happen to fit do not make it certain."""
_NUM_TERMS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the latency of networks is predicted from: the plain sum in ms, and counts, arrays of one shape.

    `num_large_kernels` is the number of blocks with the largest kernel of the table.
    """

    sum_ms: FloatArray
    num_params: FloatArray
    num_blocks: FloatArray
    num_large_kernels: FloatArray

    @property
    def features(self) -> FloatArray:
        """The terms of the calibration, (..., 5)."""
        terms = (np.ones_like(self.sum_ms), self.sum_ms, self.num_params / 1e6, self.num_blocks, self.num_large_kernels)
        return np.stack(terms, axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """How far `model` is off on `num_networks` held-out networks, all of them or those of a region or resolution.

    `model` is plain (the sum), affine (a + b sum), full (all terms) or macs (a + b MACs, to compare
    with). Errors are fractions of the measured latency; `tau` is Kendall's, None for fewer than three networks.
    """

    model: str
    region: str
    num_networks: int
    mean_error: float
    median_error: float
    worst_error: float
    within_5_percent: float
    tau: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The correction: `intercept_ms` + `scale` sum + `ms_per_mparam` Mparams + `ms_per_block` blocks + ...

    ... + `ms_per_large_kernel` blocks of the largest kernel. `relative_error` is the standard deviation of relative
    errors; `covariance` (5 x 5, row by row) that of the coefficients in units of its square. `coverage` is the fraction
    of held-out networks inside the 90 % intervals of the fit, `repeatability` the mean relative difference of the same
    network between processes, below which no error can be.
    """

    intercept_ms: float
    scale: float
    ms_per_mparam: float
    ms_per_block: float
    ms_per_large_kernel: float
    relative_error: float
    covariance: tuple[float, ...]
    num_fit: int
    num_held_out: int
    repeatability: float
    coverage: float | None
    figures: tuple[Figures, ...]

    def __post_init__(self) -> None:
        if len(self.covariance) != _NUM_TERMS**2:
            raise InvalidInputError(f"covariance must hold 5 x 5 numbers; came {len(self.covariance)}")
        numbers = (*self._coefficients, self.relative_error, *self.covariance)
        if not all(isinstance(number, int | float) and abs(number) <= MAX_MS for number in numbers):
            raise InvalidInputError(f"a calibration must hold numbers of at most {MAX_MS:g}; came {numbers}")
        if not (self.scale > 0 and self.relative_error >= 0 and self.num_fit >= MIN_NETWORKS):
            raise InvalidInputError(
                f"a calibration must have a scale above 0, an error of 0 or more and {MIN_NETWORKS} networks or more; "
                f"came {self.scale}, {self.relative_error} and {self.num_fit}"
            )

    @property
    def _coefficients(self) -> tuple[float, ...]:
        return self.intercept_ms, self.scale, self.ms_per_mparam, self.ms_per_block, self.ms_per_large_kernel

    def latency_ms(self, sizes: Sizes) -> FloatArray:
        """Return the corrected latencies (n,) of networks of these sizes."""
        latency: FloatArray = sizes.features @ np.array(self._coefficients)
        return latency

    def added_ms(self, sizes: Sizes) -> FloatArray:
        """Return what blocks of these sizes add to a network's latency: all of `latency_ms` but the intercept."""
        added: FloatArray = sizes.features[..., 1:] @ np.array(self._coefficients[1:])
        return added

    def interval_ms(self, sizes: Sizes, *, coverage: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper ends (n,) between which a measured latency lies with probability `coverage`.

        Raises:
            InvalidInputError: `coverage` is not a fraction between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise InvalidInputError(f"coverage must be a fraction between 0 and 1; came {coverage}")
        from scipy.special import stdtrit

        latency = self.latency_ms(sizes)
        features = sizes.features / latency[:, None]
        covariance = np.array(self.covariance).reshape(_NUM_TERMS, _NUM_TERMS)
        # 1 for the noise of a measurement, the leverage for the uncertainty of the coefficients.
        leverage = np.einsum("ni,ij,nj->n", features, covariance, features)
        quantile = stdtrit(max(self.num_fit + self.num_held_out - _NUM_TERMS, 1), (1 + coverage) / 2)
        half = latency * self.relative_error * quantile * np.sqrt(1 + leverage)
        return latency - half, latency + half


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Networks:
    """Measured networks as arrays (n,)."""

    measured_ms: FloatArray
    sizes: Sizes
    num_macs: FloatArray
    resolutions: npt.NDArray[np.int64]
    max_kernels: npt.NDArray[np.int64]


def fit_calibration(
    sum_of: Callable[[NetworkMeasurement], float],
    fit: Sequence[NetworkMeasurement],
    held_out: Sequence[NetworkMeasurement] = (),
    *,
    large_kernel: int,
) -> Calibration:
    """Return the calibration that the networks `fit` give, judged on `held_out`.

    `sum_of` gives the plain sum of a network's blocks in milliseconds; `large_kernel` is the largest kernel size.

    Raises:
        InvalidInputError: there are fewer than `MIN_NETWORKS` to fit.
    """
    if len(fit) < MIN_NETWORKS:
        raise InvalidInputError(f"a calibration needs {MIN_NETWORKS} networks or more; came {len(fit)}")
    known = _arrays(sum_of, fit, large_kernel)
    features = known.sizes.features / known.measured_ms[:, None]
    prior = _prior(known)
    coefficients, covariance, error = _fit_relative(features, prior)
    spreads = [network.process_spread for network in (*fit, *held_out) if network.process_spread is not None]
    calibration = Calibration(
        intercept_ms=float(coefficients[0]),
        scale=float(coefficients[1]),
        ms_per_mparam=float(coefficients[2]),
        ms_per_block=float(coefficients[3]),
        ms_per_large_kernel=float(coefficients[4]),
        relative_error=error,
        covariance=tuple(float(entry) for entry in covariance.ravel()),
        num_fit=len(fit),
        num_held_out=len(held_out),
        repeatability=float(np.mean(spreads)) if spreads else 0.0,
        coverage=None,
        figures=(),
    )
    return _judge(calibration, known, _arrays(sum_of, held_out, large_kernel)) if held_out else calibration


def _judge(calibration: Calibration, known: _Networks, unseen: _Networks) -> Calibration:
    """Return `calibration` with its figures on unseen networks, its error pooled over both."""
    residuals = calibration.latency_ms(unseen.sizes) / unseen.measured_ms - 1
    low, high = calibration.interval_ms(unseen.sizes)
    inside = (low <= unseen.measured_ms) & (unseen.measured_ms <= high)
    # Residuals of the fit have so many degrees of freedom; held-out ones each have one of their own.
    num_free = max(calibration.num_fit - _NUM_TERMS, 1)
    squares = num_free * calibration.relative_error**2 + float((residuals**2).sum())
    return dataclasses.replace(
        calibration,
        relative_error=float(np.sqrt(squares / (num_free + len(residuals)))),
        coverage=float(inside.mean()),
        figures=_figures(calibration, known, unseen),
    )


def _fit_relative(features: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the coefficients (5,), their covariance (5, 5) in units of the error, and the relative error.

    `features` (n, 5) are divided by the measured latency, so that all targets are 1. `prior` (5,) holds standard
    deviations around (0, 1, 0, 0, 0); how much it weighs depends on the error, which is found by iteration.
    """
    center = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
    error = 0.01
    # A fixed point: the error sets the weight of the prior, the fit gives the error. It settles in a few rounds.
    for _ in range(20):
        precision = np.diag((error / prior) ** 2)
        covariance = np.linalg.inv(features.T @ features + precision)
        coefficients = covariance @ (features.T @ np.ones(len(features)) + precision @ center)
        # Effective number of coefficients: the prior holds some of the five back.
        num_used = float(np.trace(features @ covariance @ features.T))
        squares = float(((features @ coefficients - 1) ** 2).sum())
        error = max((squares / max(len(features) - num_used, 0.5)) ** 0.5, _SMALLEST_ERROR)
    return coefficients, covariance, error


def _prior(known: _Networks) -> FloatArray:
    latency = float(np.median(known.measured_ms))
    mparams = float(np.median(known.sizes.num_params)) / 1e6
    blocks = float(np.median(known.sizes.num_blocks))
    return _PRIOR_SCALE * np.array(
        [latency, 1.0, latency / max(mparams, 1e-9), latency / blocks, latency / blocks], np.float64
    )


def _arrays(
    sum_of: Callable[[NetworkMeasurement], float], networks: Sequence[NetworkMeasurement], large_kernel: int
) -> _Networks:
    return _Networks(
        measured_ms=np.array([network.median_ms for network in networks], np.float64),
        sizes=Sizes(
            sum_ms=np.array([sum_of(network) for network in networks], np.float64),
            num_params=np.array([sum(map(block_params, network.specs)) for network in networks], np.float64),
            num_blocks=np.array([len(network.specs) for network in networks], np.float64),
            num_large_kernels=np.array(
                [sum(largest_kernel(spec) == large_kernel for spec in network.specs) for network in networks],
                np.float64,
            ),
        ),
        num_macs=np.array([sum(block_macs(spec) for spec in network.specs) for network in networks], np.float64),
        resolutions=np.array([network.specs[0].input_size for network in networks], np.int64),
        max_kernels=np.array([max(largest_kernel(spec) for spec in network.specs) for network in networks], np.int64),
    )


def _figures(calibration: Calibration, known: _Networks, unseen: _Networks) -> tuple[Figures, ...]:
    predicted = {
        "plain": unseen.sizes.sum_ms,
        "affine": _line(known.sizes.sum_ms, known.measured_ms)(unseen.sizes.sum_ms),
        "full": calibration.latency_ms(unseen.sizes),
        "macs": _line(known.num_macs, known.measured_ms)(unseen.num_macs),
    }
    regions = {"all": np.ones(len(unseen.measured_ms), bool)}
    largest = int(unseen.max_kernels.max())
    if len(set(unseen.max_kernels.tolist())) > 1:
        regions[f"with k{largest}"] = unseen.max_kernels == largest
        regions[f"without k{largest}"] = unseen.max_kernels < largest
    if len(set(unseen.resolutions.tolist())) > 1:
        regions |= {f"r{size}": unseen.resolutions == size for size in sorted(set(unseen.resolutions.tolist()))}
    return tuple(
        _figures_of(model, region, values[chosen], unseen.measured_ms[chosen])
        for region, chosen in regions.items()
        for model, values in predicted.items()
    )


def _line(x: FloatArray, y: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return the straight line through (x, y) of least relative squares."""
    # Dividing both sides by y makes the squares relative.
    features = np.stack([np.ones_like(x), x], axis=1)
    coefficients = np.linalg.lstsq(features / y[:, None], np.ones_like(y), rcond=None)[0]
    return lambda unseen: coefficients[0] + coefficients[1] * unseen


def _figures_of(model: str, region: str, predicted: FloatArray, measured: FloatArray) -> Figures:
    from scipy.stats import kendalltau

    errors = np.abs(predicted / measured - 1)
    tau = float(kendalltau(predicted, measured).statistic) if len(measured) > 2 else None
    return Figures(
        model=model,
        region=region,
        num_networks=len(measured),
        mean_error=float(errors.mean()),
        median_error=float(np.median(errors)),
        worst_error=float(errors.max()),
        within_5_percent=float((errors <= 0.05).mean()),
        tau=None if tau is None or np.isnan(tau) else tau,
    )
