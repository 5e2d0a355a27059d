"""The journal of a profile run: rounds are on disk before the next few are timed, so a killed run loses only those."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofa_hw.errors import RunError
from ofa_hw.files import append_jsonl, read_jsonl
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions
from ofa_hw.profiling.record import Chunk, ProcessRecord

_SCHEMA_VERSION = 1


class Journal:
    """The records of all processes, kept at `path` where there is one.

    The first line says what is measured. Every other line holds rounds of a process, the marks of a group, or that a
    process is finished.
    """

    def __init__(self, path: Path | None, *, tolerance: float) -> None:
        """Begin without records."""
        self._path = path
        self._tolerance = tolerance
        self._records: dict[tuple[int, int], ProcessRecord] = {}
        self._marks: dict[int, tuple[str, ...]] = {}

    def begin(
        self,
        *,
        names: Sequence[str],
        plan: MeasurementPlan,
        conditions: RunConditions,
        state: dict[str, str],
        seed: int,
        resume: bool,
    ) -> tuple[RunConditions, dict[str, str]]:
        """Return the conditions and the machine's state at the beginning of the run.

        With `resume` they and the records come from the journal, where there is one; else the journal is begun anew.

        Raises:
            RunError: the journal is of other workloads, another seed, plan or conditions, or a line of it is damaged.
        """
        head = {
            "schema_version": _SCHEMA_VERSION,
            "workloads": list(names),
            "plan": dataclasses.asdict(plan),
            "conditions": dataclasses.asdict(conditions),
            "state": state,
            "seed": seed,
        }
        if self._path is None:
            return conditions, state
        lines = read_jsonl(self._path) if resume else []
        if not lines:
            self._path.unlink(missing_ok=True)
            append_jsonl(self._path, head)
            return conditions, state
        try:
            self._check_same(lines[0], head)
            found = RunConditions(**lines[0]["conditions"]), dict(lines[0]["state"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self._path}, line 1: must tell what is measured; remove it or start anew without --resume"
            ) from error
        for number, line in enumerate(lines[1:], start=2):
            self._restore(number, line)
        return found

    def record(self, group: int, process: int, num_workloads: int) -> ProcessRecord:
        """Return what a process of a group has timed so far."""
        return self._records.setdefault((group, process), ProcessRecord(num_workloads, tolerance=self._tolerance))

    def mark(self, group: int, marks: Sequence[str]) -> None:
        """Keep the mark of each workload of a group, a word that warns of its times or ""."""
        if self._marks.get(group) != tuple(marks):
            self._marks[group] = tuple(marks)
            if self._path is not None:
                append_jsonl(self._path, {"group": group, "marks": list(marks)})

    def marks(self, group: int, num_workloads: int) -> tuple[str, ...]:
        """Return what was kept by `mark`."""
        return self._marks.get(group, ("",) * num_workloads)

    def append(self, group: int, process: int, chunk: Chunk) -> None:
        """Add what was timed in one go to the record of a process, and to the file before this returns."""
        self._records[group, process].add(chunk)
        if self._path is not None:
            append_jsonl(self._path, {"group": group, "process": process, **chunk.to_dict()})

    def finish(self, group: int, process: int, *, budget_seconds: float) -> None:
        """Record that a process has done what it could within `budget_seconds` for all workloads."""
        self._records[group, process].budget_seconds = budget_seconds
        if self._path is not None:
            append_jsonl(self._path, {"group": group, "process": process, "budget_seconds": budget_seconds})

    @property
    def spent_seconds(self) -> float:
        """The time that all processes have taken so far."""
        return sum(record.spent_seconds for record in self._records.values())

    def _check_same(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        # Clocks and load differ each time they are read; whoever resumes may raise the time budget.
        for key in ("schema_version", "workloads", "seed"):
            if found.get(key) != expected[key]:
                self._refuse(key)
        for key, passing in (("plan", {"max_seconds"}), ("conditions", {"clocks"})):
            changed = [
                field
                for field in expected[key]
                if field not in passing and found[key].get(field) != expected[key][field]
            ]
            if changed:
                self._refuse(", ".join(changed))

    def _refuse(self, what: str) -> None:
        raise RunError(
            f"{self._path} holds an unfinished measurement with another {what}; "
            "give the options it was begun with, or start anew without --resume"
        )

    def _restore(self, number: int, line: dict[str, Any]) -> None:
        try:
            if "marks" in line:
                self._marks[line["group"]] = tuple(line["marks"])
                return
            if "budget_seconds" in line:
                self._records[line["group"], line["process"]].budget_seconds = line["budget_seconds"]
                return
            chunk = Chunk.from_dict(line)
            # The sentinel's index is the highest in every round, and follows those of the group's workloads.
            num_workloads = max(max(timed.order) for timed in chunk.rounds)
            self.record(line["group"], line["process"], num_workloads).add(chunk)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self._path}, line {number}: must hold rounds; remove it or start anew without --resume"
            ) from error
