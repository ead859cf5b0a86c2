"""Intervals: how far a score could be from what an endless test set would give.

Questions about one scene share its images, so their scores are not independent. Means over
questions are therefore resampled by cluster (the scene), never by question.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import ndtri


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion of independent trials (Wilson 1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials is no proportion")
    z = float(ndtri(0.5 + level / 2))
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    reach = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low, high = (centre - reach) / (1 + z**2 / trials), (centre + reach) / (1 + z**2 / trials)
    # Rounding must not push the ends off 0 and 1, where they lie exactly.
    return Interval(
        0.0 if successes == 0 else float(low), 1.0 if successes == trials else float(high)
    )


def cluster_bootstrap(
    values: Float[np.ndarray, " Q"],
    clusters: Sequence[Hashable],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Percentile bootstrap interval of the mean of `values`, whole clusters resampled.

    Returns: the interval, or None with fewer than two clusters, which say nothing about spread.

    Raises:
        ValueError: no values, or not one cluster a value.
    """
    sums, counts = cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    return interval_of(resampled_ratios(sums, counts, resamples, seed), level)


def resampled_ratios(
    sums: Float[np.ndarray, " C"],
    counts: Shaped[np.ndarray, " C"],
    resamples: int = 2000,
    seed: int = 0,
) -> Float[np.ndarray, " resamples"]:
    """The mean, sum of `sums` / sum of `counts`, in each resample of whole clusters.

    The same seed and number of clusters give the same draws: what is measured on the same clusters
    can be compared draw by draw. NaN where a draw counts nothing.
    """
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    with np.errstate(invalid="ignore"):
        return (draws @ sums) / (draws @ counts)


def interval_of(resampled: Float[np.ndarray, " resamples"], level: float = 0.95) -> Interval:
    """The percentile interval of resampled means; of those that are known."""
    low, high = np.nanquantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high))


def cluster_standard_error(
    values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]
) -> float | None:
    """Standard error of the mean of `values`, with clusters as the independent units.

    The linearised ratio estimator: sqrt(C/(C-1) * sum_c (S_c - n_c * mean)^2) / sum_c n_c.

    Returns: the error, or None with fewer than two clusters.
    """
    sums, counts = cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    residuals = sums - counts * (sums.sum() / counts.sum())
    scale = len(sums) / (len(sums) - 1)
    return float(np.sqrt(scale * (residuals**2).sum()) / counts.sum())


def cluster_sums(
    values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]
) -> tuple[Float[np.ndarray, " C"], Int[np.ndarray, " C"]]:
    """Sum and number of `values` in each cluster, clusters in order of first appearance."""
    if len(values) == 0 or len(values) != len(clusters):
        raise ValueError(
            f"{len(values)} values for {len(clusters)} cluster names: need one each, at least one"
        )
    order = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    index = np.array([order[name] for name in clusters])
    return np.bincount(index, weights=values), np.bincount(index)
