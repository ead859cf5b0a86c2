"""Presentation of the results: tables, figures, and one page. It computes nothing."""

from spatialsv.report.stage import ReportConfig, run

__all__ = ["ReportConfig", "run"]
