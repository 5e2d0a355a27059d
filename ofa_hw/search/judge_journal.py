"""What a search was told, kept on disk: one that was killed asks the same rows again and reads the answers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ofa_hw.errors import RunError
from ofa_hw.files import write_bytes
from ofa_hw.search.layout import GeneMatrix
from ofa_hw.search.nsga2 import Judge
from ofa_hw.search.pareto import Values

INTERVAL_S = 1.0
"""How much work may be lost; the journal is written no more often."""


class JudgeJournal:
    """A `Judge` that keeps all answers of `judge` in the file at `path`.

    The rows that a search asks depend on its seed and on what it was told, so that the same search, begun anew, asks
    the recorded rows first and in their order; `fingerprint` says which search it is.

    Raises:
        RunError: the file is damaged, or of a search with another fingerprint.
    """

    def __init__(self, judge: Judge, path: str | Path, *, fingerprint: str) -> None:
        self._judge, self._path, self._fingerprint = judge, Path(path), fingerprint
        self._parts: list[tuple[GeneMatrix, Values]] = []
        self._num_replayed = 0
        self._written_at = time.monotonic()
        self._known: tuple[GeneMatrix, Values] | None = None
        if self._path.exists():
            self._known = self._read()

    @property
    def num_known(self) -> int:
        """The number of rows that the file answers."""
        return 0 if self._known is None else len(self._known[0])

    def __call__(self, genes: GeneMatrix) -> tuple[Values, Values]:
        """Return values (n, m) and violations (n,) of `genes`: recorded ones, or those of the judge."""
        answers = self._recall(genes)
        if answers is None:
            values, violations = self._judge(genes)
            broken = np.zeros(len(genes)) if violations is None else np.asarray(violations, dtype=np.float64)
            answers = np.concatenate([np.asarray(values, dtype=np.float64), broken[:, None]], axis=1)
        self._parts.append((genes, answers))
        if time.monotonic() - self._written_at > INTERVAL_S:
            self.flush()
        return answers[:, :-1], answers[:, -1]

    def flush(self) -> None:
        """Write all answers so far, atomically."""
        from safetensors.numpy import save

        if sum(len(genes) for genes, _ in self._parts) > self.num_known:
            genes, answers = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
            content = save({"genes": genes, "answers": answers}, metadata={"fingerprint": self._fingerprint})
            write_bytes(self._path, content)
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Remove the file: the search has ended."""
        self._path.unlink(missing_ok=True)

    def _recall(self, genes: GeneMatrix) -> Values | None:
        """Return the recorded answers to `genes`; None where there are none to all of them."""
        begin = self._num_replayed
        self._num_replayed += len(genes)
        if self._known is None or self._num_replayed > len(self._known[0]):
            return None
        if not np.array_equal(self._known[0][begin : self._num_replayed], genes):
            raise RunError(f"{self._path} is of another search; remove it, or search without --resume")
        return self._known[1][begin : self._num_replayed]

    def _read(self) -> tuple[GeneMatrix, Values]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self._path), framework="numpy") as file:
                fingerprint = (file.metadata() or {}).get("fingerprint")
                genes, answers = file.get_tensor("genes"), file.get_tensor("answers")
        except (SafetensorError, OSError) as error:
            raise RunError(f"{self._path} is damaged ({error}); remove it, or search without --resume") from error
        if fingerprint != self._fingerprint or len(genes) != len(answers) or answers.ndim != 2:
            raise RunError(
                f"{self._path} is of a search with other objectives, limits, tables, budget or seed; give the same, or "
                "search without --resume"
            )
        return genes, answers
