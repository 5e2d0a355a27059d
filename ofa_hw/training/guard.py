"""What notices that training has lost what it had learnt: a loss that is not finite, or back where guessing is."""

from __future__ import annotations

import dataclasses
import math

SMOOTHING = 0.05
LEARNT, LOST = 0.9, 0.99
"""Of the loss of guessing: below the one a network has learnt something, above the other it has lost it again."""
MAX_ROLLBACKS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """The loss as a share of what equal guesses for all classes would have: smoothed, and the least it has been.

    `rate_factor` is by what the learning rates of the schedule are multiplied, after `num_rollbacks`.
    """

    ratio: float = 1.0
    best_ratio: float = 1.0
    rate_factor: float = 1.0
    num_rollbacks: int = 0

    def after(self, loss: float, loss_of_guessing: float) -> Health:
        """Return the health after a step of this loss; one bad step is not a collapse."""
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
        """Return the health of training that begins again from here at half its learning rate."""
        return dataclasses.replace(self, rate_factor=self.rate_factor / 2, num_rollbacks=self.num_rollbacks + 1)
