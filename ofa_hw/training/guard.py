"""Notices that training has collapsed: the loss is not finite, or back at that of guessing after it was below."""

from __future__ import annotations

import dataclasses
import math

SMOOTHING = 0.05
"""The weight of the newest step in the smoothed loss: about twenty steps count."""
LEARNT, LOST = 0.9, 0.99
"""Limits of the smoothed loss as a share of that of guessing. A network that was ever below the first has learnt
something; if it is above the second later, it has lost it. One that was never below the first cannot lose anything."""
MAX_ROLLBACKS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """The smoothed loss as a share of the loss of equal probabilities for all classes, and the least it has been.

    `rate_factor` multiplies the learning rates of the schedule; every one of the `num_rollbacks` has halved it.
    """

    ratio: float = 1.0
    best_ratio: float = 1.0
    rate_factor: float = 1.0
    num_rollbacks: int = 0

    def after(self, loss: float, loss_of_guessing: float) -> Health:
        """Return the health after a step with this loss.

        One step with a large loss is not yet a fault; one whose loss is not finite is.
        """
        # Cut at 2, so that a single outlier does not dominate the mean. NaN stays NaN in all means that follow.
        ratio = min(loss / loss_of_guessing, 2.0) if math.isfinite(loss) else math.nan
        smoothed = self.ratio + SMOOTHING * (ratio - self.ratio)
        return dataclasses.replace(self, ratio=smoothed, best_ratio=min(self.best_ratio, smoothed))

    @property
    def fault(self) -> str | None:
        """What is wrong, None where nothing is."""
        if math.isnan(self.ratio):
            return "the loss is no longer finite"
        if self.best_ratio < LEARNT and self.ratio > LOST:
            return "the loss is back where guessing is"
        return None

    def rolled_back(self) -> Health:
        """Return the health of training that goes on from a checkpoint with half the learning rate of before."""
        return dataclasses.replace(self, rate_factor=self.rate_factor / 2, num_rollbacks=self.num_rollbacks + 1)
