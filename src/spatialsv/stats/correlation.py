"""Do two numbers rise together over a few models?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from spatialsv.stats.intervals import Interval, interval_of

FEWEST = 4  # points; three are in one of six orders, whatever they mean


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of `n` independent points."""

    rho: float
    interval: Interval | None  # 95 %, points resampled; None where most resamples are constant
    p: float  # two-sided, over all orders of the points, or many
    least_p: float  # that so few points can show, however well they agree
    n: int


def spearman(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    resamples: int = 2000,
    seed: int = 0,
) -> Correlation | None:
    """The correlation of ranks, its percentile bootstrap interval and its permutation test.

    Returns: None of fewer than FEWEST points, or where one side is constant.
    """
    n = len(x)
    if n < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    first, second = rankdata(x), rankdata(y)
    rho = float(_correlate(first, second))
    generator = np.random.default_rng(seed)
    if factorial(n) <= 10 * resamples:
        orders = np.array(list(permutations(range(n))))
        extra = 0
    else:
        orders = generator.permuted(np.tile(np.arange(n), (10 * resamples, 1)), axis=1)
        extra = 1  # the order at hand is one of them
    extreme = int((np.abs(_correlate(first, second[orders])) >= abs(rho) - 1e-9).sum())
    drawn = generator.integers(0, n, size=(resamples, n))
    found = _correlate(rankdata(x[drawn], axis=1), rankdata(y[drawn], axis=1))
    found = found[np.isfinite(found)]
    interval = None
    if 2 * len(found) > resamples:
        interval = interval_of(found, n)
    return Correlation(
        rho=rho,
        interval=interval,
        p=(extreme + extra) / (len(orders) + extra),
        least_p=2 / factorial(n),
        n=n,
    )


def _correlate(
    x: Float[np.ndarray, "*lead n"], y: Float[np.ndarray, "*more n"]
) -> Float[np.ndarray, "*most"] | Float[np.generic, ""]:
    """Pearson's correlation over the last axis; NaN where a side is constant."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
