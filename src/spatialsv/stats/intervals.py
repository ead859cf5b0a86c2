"""Confidence intervals of scores.

Questions about one scene share its images, so their scores are not independent. Scores are
therefore resampled by cluster (the scene), never by question.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from scipy.special import ndtr, ndtri, stdtrit

from spatialsv.stats.means import (
    Mean,
    Table,
    Tree,
    clusters_of,
    leaves_of,
    resample_scores,
    standard_error,
)


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion of independent trials (Wilson 1927).

    Args:
        successes: Number of successes.
        trials: Number of trials.
        level: Confidence level.

    Returns:
        The interval.

    Raises:
        ValueError: `trials` is 0 or less than `successes`.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(
            f"Expected 0 <= successes <= trials and at least one trial, found {successes}"
            f" successes of {trials} trials."
        )
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
    """Return a percentile bootstrap interval of the mean of `values`, resampled by cluster.

    Args:
        values: Scores.
        clusters: Cluster of each score.
        level: Confidence level.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        The interval, or None with fewer than two clusters.

    Raises:
        ValueError: `values` is empty, or has not one cluster per value.
    """
    return intervals([clustered_mean(values, clusters)], level, resamples, seed)[0]


def intervals(
    trees: Sequence[Tree], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> list[Interval | None]:
    """Return percentile bootstrap intervals of several scores, with the same resampled clusters.

    Scores that are all 0, or all 1, do not vary over resamples, although they are uncertain. These
    get Wilson's interval of as many trials as there are clusters.

    Args:
        trees: Scores.
        level: Confidence level.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        An interval per score, or None for a score of fewer than two clusters.
    """
    resampled = resample_scores(trees, resamples, seed).T
    return [_interval(tree, values, level) for tree, values in zip(trees, resampled, strict=True)]


def _interval(tree: Tree, values: Float[np.ndarray, " R"], level: float) -> Interval | None:
    scores = {score for leaf in leaves_of(tree) for score in leaf.scores}
    clusters = len(clusters_of(tree))
    if clusters < 2 or np.isnan(values).all():
        return None
    if scores in ({0.0}, {1.0}):
        return wilson_interval(clusters * int(scores.pop()), clusters, level)
    return percentile_interval(values, clusters, level)


def resample_ratios(
    sums: Float[np.ndarray, "C ..."],
    counts: Shaped[np.ndarray, "C ..."],
    resamples: int = 2000,
    seed: int = 0,
) -> Float[np.ndarray, "resamples ..."]:
    """Return the mean, sum of `sums` / sum of `counts`, in each resample of clusters.

    Args:
        sums: Sums per cluster.
        counts: Counts per cluster.
        resamples: Number of resamples.
        seed: Seed of the draws. The same seed and number of clusters give the same draws, so
            measurements on the same clusters can be compared draw by draw.

    Returns:
        Means; NaN where a draw has a count of 0.
    """
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    with np.errstate(invalid="ignore"):
        return np.asarray((draws @ sums) / (draws @ counts))


def percentile_interval(
    resampled: Float[np.ndarray, " resamples"], clusters: float | int, level: float = 0.95
) -> Interval:
    """Return the expanded percentile interval of resampled scores (Hesterberg 2015, section 5.2).

    Plain percentiles are too narrow for few clusters: a resample varies (C - 1) / C as much as the
    truth, and its tails ignore that the variance is estimated. The percentiles are therefore moved
    out to where sqrt(C / (C - 1)) * t_{C-1} is on the normal distribution: for 20 clusters to 1.6
    and 98.4 instead of 2.5 and 97.5.

    Args:
        resampled: Scores in resamples; NaN entries are skipped.
        clusters: Number of clusters C; infinite for plain percentiles.
        level: Confidence level.

    Returns:
        The interval.
    """
    freedom = max(clusters, 2) - 1  # with a single cluster all resamples are equal
    tail = ndtr(np.sqrt(1 + 1 / freedom) * stdtrit(freedom, 0.5 - level / 2))
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(float(low), float(high))


def cluster_standard_error(
    values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]
) -> float | None:
    """Return the standard error of the mean of `values`, with clusters as the independent units.

    Args:
        values: Scores.
        clusters: Cluster of each score.

    Returns:
        The standard error, or None with fewer than two clusters.
    """
    mean = clustered_mean(values, clusters)
    return standard_error(Table([mean]).influence(mean))


def clustered_mean(values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]) -> Mean:
    """Return the mean of values in clusters.

    Args:
        values: Scores.
        clusters: Cluster of each score.

    Returns:
        A tree of one leaf.

    Raises:
        ValueError: `values` is empty, or has not one cluster per value.
    """
    if len(values) == 0:
        raise ValueError("Cannot average 0 values. Give at least one.")
    return Mean(tuple(values.tolist()), tuple(clusters))
