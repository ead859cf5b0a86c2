"""Presentation of the results: tables, figures, and one page. All numbers come from `analysis`."""

from spatialsv.report.stage import ReportConfig, run

__all__ = ["ReportConfig", "run"]
