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


def best_constant(truths: Float[np.ndarray, " A"], tolerances: Float[np.ndarray, " T"]) -> float:
    """The number whose mean relative accuracy over `truths` is greatest.

    That accuracy is the share of `tolerances` that the relative error does not exceed; of a truth
    of 0 the absolute error. Each truth and tolerance scores on an interval of predictions; the best
    prediction lies in most intervals. Coverage peaks at the start of one, and stays up to the next
    interval's end: the middle of that stretch is returned, away from the rounding at its ends.
    """
    reach = np.outer(np.where(truths == 0, 1.0, np.abs(truths)), tolerances)
    starts = np.sort((truths[:, None] - reach).ravel())
    ends = np.sort((truths[:, None] + reach).ravel())
    opened = np.arange(1, len(starts) + 1)
    covered = opened - np.searchsorted(ends, starts - 1e-12)
    best = int(covered.argmax())
    return float((starts[best] + ends[np.searchsorted(ends, starts[best])]) / 2)
