"""What a report tells of a run: its sections, made from `RunResults`."""

from ofa_hw.report.document import Section
from ofa_hw.report.results import RunResults
from ofa_hw.report.sections.blocks import blocks_section
from ofa_hw.report.sections.latency import latency_section
from ofa_hw.report.sections.trade_off import trade_off_section
from ofa_hw.report.sections.training import training_section

__all__ = ["sections_of"]


def sections_of(results: RunResults) -> list[Section]:
    """Return the sections for which the run has the files."""
    made = (trade_off_section(results), training_section(results), latency_section(results), blocks_section(results))
    return [section for section in made if section is not None]
