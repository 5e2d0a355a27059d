"""The report as Markdown: for summary.md, a pull request, a job's summary."""

from __future__ import annotations

from collections.abc import Sequence

from ofa_hw import markdown
from ofa_hw.bench import Metric
from ofa_hw.markdown import escaped
from ofa_hw.report.document import Section, Table
from ofa_hw.report.figures import figures_of
from ofa_hw.report.results import RunResults
from ofa_hw.report.rounding import milliseconds, percent, seconds
from ofa_hw.report.sections import sections_of
from ofa_hw.report.summary import commands_of, lead_of, provenance_of


def report_markdown(runs: Sequence[RunResults], comparison: Section | None = None) -> str:
    """Return the tables of the runs, a `comparison` first; what comes from names and files is escaped."""
    parts = [f"# {escaped(', '.join(results.name for results in runs))}", *map(escaped, lead_of(runs))]
    for results in runs:
        figures = figures_of(results)
        if figures:
            title = "## Figures" if len(runs) == 1 else f"## Figures of {escaped(results.name)}"
            parts += [title, _figures_table(figures)]
    for section in [*([comparison] if comparison else []), *sections_of(runs)]:
        tables = [table for table in section.tables if not table.is_long]
        if tables:
            parts += [f"## {escaped(section.title)}", escaped(section.about)]
        for table in tables:
            parts += [f"### {escaped(table.title)}", _table(table)]
    missing = [part for results in runs for part in results.missing]
    if missing:
        parts += ["## Still to be made", "\n".join(f"- No {part.what} yet: `{part.command}`" for part in missing)]
    parts += ["## Where this comes from"]
    for results in runs:
        facts = [(escaped(name), escaped(value)) for name, value in provenance_of(results)]
        parts += [markdown.table(("what", "value"), (False, False), facts)]
        commands = commands_of(results)
        if commands:
            parts += ["\n".join(f"1. {escaped(entry.command)} ({escaped(entry.ended_at)})" for entry in commands)]
    return "\n\n".join(parts) + "\n"


def told_value(figure: Metric) -> str:
    """Return the value of `figure` as it is printed, with its unit."""
    if figure.unit == "fraction":
        return percent(figure.value)
    if figure.unit == "s":
        return seconds(figure.value)
    if figure.unit == "ms":
        return f"{milliseconds(figure.value)} ms"
    return f"{figure.value:.2f}" if figure.unit == "tau" else f"{figure.value:.4g} {figure.unit}".strip()


def _figures_table(figures: Sequence[Metric]) -> str:
    rows = [(escaped(figure.title), escaped(told_value(figure)), str(figure.num)) for figure in figures]
    return markdown.table(("what", "value", "of"), (False, True, True), rows)


def _table(table: Table) -> str:
    columns = [escaped(column.title) for column in table.columns]
    rows = [[escaped(cell) for cell in row.cells] for row in table.rows]
    return markdown.table(columns, [column.is_number for column in table.columns], rows)
