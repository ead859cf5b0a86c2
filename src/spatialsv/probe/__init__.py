"""Stage `probe`: train new heads on a frozen model's visual states, and measure what they read."""

from spatialsv.probe.stage import ProbeConfig, run

__all__ = ["ProbeConfig", "run"]
