"""Results as a table to read, a record to compute with, and one page to look at."""

from spatialsv.report.stage import ReportConfig, run

__all__ = ["ReportConfig", "run"]
