"""Ask a model the questions of test scenes, read its replies, and score them."""

from spatialsv.evaluate.stage import EvaluateConfig, run

__all__ = ["EvaluateConfig", "run"]
