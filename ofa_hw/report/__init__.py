"""Pictures and pages from the files of a run."""

from ofa_hw.bench import Metric
from ofa_hw.report.figures import figures_of, note_figure
from ofa_hw.report.results import RunResults, read_results
from ofa_hw.report.write import ReportFiles, write_report

__all__ = ["Metric", "ReportFiles", "RunResults", "figures_of", "note_figure", "read_results", "write_report"]
