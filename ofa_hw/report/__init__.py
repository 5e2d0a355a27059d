"""Pictures and pages from the files of a run."""

from ofa_hw.report.results import RunResults, read_results
from ofa_hw.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "RunResults", "read_results", "write_report"]
