"""Results as tidy tables, with documented columns."""

from spatialsv.analysis.stage import AnalysisConfig, run

__all__ = ["AnalysisConfig", "run"]
