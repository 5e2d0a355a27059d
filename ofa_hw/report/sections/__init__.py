"""What a report tells of a run, or of several: its sections, made from `RunResults`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ofa_hw.report.document import Section
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections.blocks import blocks_section
from ofa_hw.report.sections.latency import latency_section
from ofa_hw.report.sections.predictor import predictor_section
from ofa_hw.report.sections.trade_off import trade_off_section
from ofa_hw.report.sections.training import training_section

__all__ = ["sections_of"]


def sections_of(runs: Sequence[RunResults]) -> list[Section]:
    """Return the sections for which the runs have the files: all in one trade-off, then each run's own."""
    together = trade_off_section(runs)
    made = [together] if together else []
    for index, results in enumerate(runs):
        own = _own_sections(results)
        made += own if len(runs) == 1 else [_of_run(section, index + 1, results.name) for section in own]
    return made


def _own_sections(results: RunResults) -> list[Section]:
    tables = [results.lut, *results.other_tables] if results.lut else []
    blocks = [
        _numbered(section, place, section.title) if place else section
        for place, table in enumerate(tables)
        if (section := blocks_section(results.space, table))
    ]
    made = (training_section(results), predictor_section(results), latency_section(results), *blocks)
    return [section for section in made if section is not None]


def _of_run(section: Section, number: int, name: str) -> Section:
    return _numbered(section, f"run{number}", f"{name}: {section.title}")


def _numbered(section: Section, suffix: object, title: str) -> Section:
    """Return the section with names of its own, so that a page can hold several of a kind."""
    return dataclasses.replace(
        section,
        anchor=f"{section.anchor}-{suffix}",
        title=title,
        figures=tuple(dataclasses.replace(figure, name=f"{figure.name}-{suffix}") for figure in section.figures),
        tables=tuple(dataclasses.replace(table, name=f"{table.name}-{suffix}") for table in section.tables),
    )
