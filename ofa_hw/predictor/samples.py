"""`EvaluatedArch`: the scores of one subnet of a supernet, and the journal that keeps them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import append_jsonl, read_jsonl, write_jsonl
from ofa_hw.space import ArchConfig

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatedArch:
    """A subnet's scores on `num_images` images, by the supernet whose weights have the hash `checkpoint`.

    `top1` and `mean_true_prob` (the probability given to the true class) are fractions; `mean_log_likelihood` is in
    nats, at most 0. On few images the soft scores rank subnets far better than `top1` does.

    Raises:
        InvalidInputError: a score is not finite or outside its range.
    """

    arch: ArchConfig
    top1: float
    mean_true_prob: float
    mean_log_likelihood: float
    num_images: int
    checkpoint: str

    def __post_init__(self) -> None:
        for field in ("top1", "mean_true_prob"):
            if not 0 <= getattr(self, field) <= 1:
                raise InvalidInputError(f"{field} must be a fraction from 0 to 1; came {getattr(self, field)}")
        if not (math.isfinite(self.mean_log_likelihood) and self.mean_log_likelihood <= 0):
            raise InvalidInputError(
                f"mean_log_likelihood must be finite and at most 0; came {self.mean_log_likelihood}"
            )
        if self.num_images < 1:
            raise InvalidInputError(f"num_images must be 1 or more; came {self.num_images}")

    def to_dict(self) -> dict[str, Any]:
        """Return the sample as plain values; `from_dict` reads them back."""
        return {**dataclasses.asdict(self), "arch": self.arch.to_dict()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> EvaluatedArch:
        """Return the sample that `to_dict` wrote; InvalidInputError where it has another form."""
        names = {field.name for field in dataclasses.fields(cls)}
        if set(value) != names:
            raise InvalidInputError(f"a sample must have {', '.join(sorted(names))}; came {', '.join(sorted(value))}")
        return cls(**{**value, "arch": ArchConfig.from_dict(value["arch"])})


def read_samples(path: str | Path) -> list[EvaluatedArch]:
    """Return the samples of the journal at `path`, in its order; [] where there is none.

    Raises:
        RunError: naming the line that is not a sample.
    """
    samples = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            samples.append(EvaluatedArch.from_dict(row))
        except (InvalidInputError, TypeError) as error:
            raise RunError(f"{path}, line {number}: {error}; remove the line and run `ofa-hw sample` again") from error
    return samples


def samples_to_pandas(samples: Iterable[EvaluatedArch]) -> pd.DataFrame:
    """Return the samples as a data frame, one a row: `arch_id`, the scores, and `arch` as JSON."""
    import pandas as pd

    names = [field.name for field in dataclasses.fields(EvaluatedArch) if field.name != "arch"]
    return pd.DataFrame(
        [
            {
                "arch_id": sample.arch.arch_id,
                **{name: getattr(sample, name) for name in names},
                "arch": sample.arch.to_json(),
            }
            for sample in samples
        ],
        columns=["arch_id", *names, "arch"],
    )


def append_sample(path: str | Path, sample: EvaluatedArch) -> None:
    """Append one sample to the journal at `path`, synced to disk before this returns."""
    append_jsonl(path, sample.to_dict())


def write_samples(path: str | Path, samples: Iterable[EvaluatedArch]) -> None:
    """Replace the journal at `path` by `samples`, atomically."""
    write_jsonl(path, (sample.to_dict() for sample in samples))
