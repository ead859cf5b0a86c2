"""How right a number is: mean relative accuracy (MRA, arXiv 2412.14171)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

TOLERANCES = np.arange(50, 0, -5)  # per cent; one minus VSI-Bench's thresholds 0.50, ..., 0.95


def mean_relative_accuracy(
    predicted: Float[np.ndarray, "*shape"], truth: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Share of TOLERANCES that |predicted - truth| / |truth| stays within.

    A truth of 0 has no relative error; its absolute error stands in. Errors are compared with a
    slack of 1e-9: 1.1 for 1 is 10 % off, although floating point makes it a little more.
    """
    error = np.abs(predicted - truth) / np.where(truth == 0, 1.0, np.abs(truth))
    return np.asarray((100 * error[..., None] <= TOLERANCES + 1e-9).mean(axis=-1))
