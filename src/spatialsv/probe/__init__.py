"""Stage `probe`: what a frozen model's visual states hold, read by a fresh head."""

from spatialsv.probe.stage import ProbeConfig, run

__all__ = ["ProbeConfig", "run"]
