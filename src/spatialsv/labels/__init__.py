"""Stage `labels`: a teacher's geometry for scenes."""

from spatialsv.labels.stage import LabelsConfig, run

__all__ = ["LabelsConfig", "run"]
