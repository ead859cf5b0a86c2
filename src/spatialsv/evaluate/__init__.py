"""Evaluate a model on a benchmark: generate its responses, parse and score them."""

from spatialsv.evaluate.config import EvaluateConfig
from spatialsv.evaluate.stage import run

__all__ = ["EvaluateConfig", "run"]
