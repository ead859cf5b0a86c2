"""Intervals: how far a score could be from what an endless test set would give.

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
    return intervals([clustered_mean(values, clusters)], level, resamples, seed)[0]


def intervals(
    trees: Sequence[Tree], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> list[Interval | None]:
    """Percentile bootstrap intervals of several scores, whole clusters resampled for all at once.

    Scores that are all 0, or all 1, resample to themselves, which is not certainty: for these the
    interval is Wilson's of as many trials as there are clusters, each of which voted as one.

    Returns: None for a score of fewer than two clusters, which say nothing about spread.
    """
    found = resample_scores(trees, resamples, seed).T
    return [_interval(tree, values, level) for tree, values in zip(trees, found, strict=True)]


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
    """The mean, sum of `sums` / sum of `counts`, in each resample of whole clusters.

    The same seed and number of clusters give the same draws: what is measured on the same clusters
    can be compared draw by draw. NaN where a draw counts nothing.
    """
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    with np.errstate(invalid="ignore"):
        return (draws @ sums) / (draws @ counts)


def percentile_interval(
    resampled: Float[np.ndarray, " resamples"], clusters: float | int, level: float = 0.95
) -> Interval:
    """The percentile interval of scores in resamples of `clusters`; of those that are known.

    Percentiles alone fall short where clusters are few: a resample varies (C - 1) / C as much as
    the truth does, and has no tails for not knowing the spread. They are taken further out, where
    sqrt(C / (C - 1)) * t_{C-1} is on the normal (the expanded percentile interval, Hesterberg 2015,
    section 5.2); of 20 clusters 1.6 and 98.4 in place of 2.5 and 97.5, of endless ones these.
    """
    freedom = max(clusters, 2) - 1  # of a single cluster all resamples are alike
    tail = ndtr(np.sqrt(1 + 1 / freedom) * stdtrit(freedom, 0.5 - level / 2))
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(float(low), float(high))


def cluster_standard_error(
    values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]
) -> float | None:
    """Standard error of the mean of `values`, with clusters as the independent units.

    Returns: the error, or None with fewer than two clusters.
    """
    mean = clustered_mean(values, clusters)
    return standard_error(Table([mean]).influence(mean))


def clustered_mean(values: Float[np.ndarray, " Q"], clusters: Sequence[Hashable]) -> Mean:
    """The mean of values in clusters.

    Raises:
        ValueError: no values, or not one cluster a value.
    """
    if len(values) == 0:
        raise ValueError("no values to average: need at least one")
    return Mean(tuple(values.tolist()), tuple(clusters))
