"""Mean relative accuracy (MRA, arXiv 2412.14171), and the constant that maximises it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

TOLERANCES = np.arange(50, 0, -5) / 100  # greatest relative errors; 1 - VSI-Bench's thresholds
# The same as VSI-Bench's code computes them, in floating point.
PUBLISHED_TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)
ROUNDING = 1e-11  # so that 1.1 for 1 is 10 % off in spite of rounding


def mean_relative_accuracy(
    predicted: Float[np.ndarray, "*shape"],
    truth: Float[np.ndarray, "*shape"],
    as_published: bool = False,
) -> Float[np.ndarray, "*shape"]:
    """Return the share of `TOLERANCES` that |predicted - truth| / |truth| does not exceed.

    Args:
        predicted: Predicted numbers; NaN scores 0.
        truth: True numbers; where one is 0, the absolute error is used, as in SPAR-Bench.
        as_published: Compare with `PUBLISHED_TOLERANCES` to the last bit, as VSI-Bench's code does
            (with <= where its Eq. 1 has <), instead of within `ROUNDING` of `TOLERANCES`.

    Returns:
        Accuracies in [0, 1].
    """
    tolerances = PUBLISHED_TOLERANCES if as_published else TOLERANCES + ROUNDING
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(predicted - truth) / np.where(truth == 0, 1.0, np.abs(truth))
    return np.asarray((error[..., None] <= tolerances).mean(axis=-1))


def best_constant(truths: Float[np.ndarray, " A"], tolerances: Float[np.ndarray, " T"]) -> float:
    """Return the number whose mean relative accuracy over `truths` is greatest.

    Each truth and tolerance scores on an interval of predictions; the best prediction lies in most
    intervals. Coverage peaks at the start of an interval and holds until the next end.

    Args:
        truths: True numbers; where one is 0, its error is absolute.
        tolerances: Relative errors; accuracy is the share of them that an error does not exceed.

    Returns:
        The centre of the best stretch, away from the rounding at its ends.
    """
    reach = np.outer(np.where(truths == 0, 1.0, np.abs(truths)), tolerances)
    starts = np.sort((truths[:, None] - reach).ravel())
    ends = np.sort((truths[:, None] + reach).ravel())
    opened = np.arange(1, len(starts) + 1)
    covered = opened - np.searchsorted(ends, starts - 1e-12)
    best = int(covered.argmax())
    return float((starts[best] + ends[np.searchsorted(ends, starts[best])]) / 2)
