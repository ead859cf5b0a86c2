"""Agreement of two models on the same questions (kappa), and rank correlation over a few models.

Shapes: Q questions, C clusters, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import draw_weights

MIN_POINTS = 4  # of a correlation; three have only six orders


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Cohen's kappa (1960): 0 is chance agreement, 1 perfect agreement."""

    kappa: float
    interval: Interval | None  # 95 %, clusters resampled; None with fewer than two clusters
    observed: float  # share of questions with equal answers
    expected: float  # the same if answers were independent, with each model's frequencies
    n: int


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    strata: Sequence[Hashable],
    clusters: Sequence[Hashable],
    resamples: int = 2000,
    seed: int = 0,
) -> Kappa | None:
    """Return the agreement of two models' answers beyond chance within each stratum.

    Args:
        first: Answers of the first model.
        second: Answers of the second model to the same questions.
        strata: Kind of each question; answers of one kind have the same meaning. Chance agreement
            follows from each model's answer frequencies within a kind, also in every resample.
        clusters: Cluster (scene) of each question.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Kappa, or None without questions or if chance agreement is perfect.
    """
    if not len(first):
        return None
    answers = [list(zip(strata, side, strict=True)) for side in (first, second)]
    kinds = dict.fromkeys([*answers[0], *answers[1]])
    stratum = _indices([kind for kind, _ in kinds], strata)  # of each kind of answer
    names = list(dict.fromkeys(clusters))
    row = _indices(clusters, names)
    tables = [_counts(row, _indices(side, kinds), len(names), len(kinds)) for side in answers]
    sizes = _counts(row, _indices(strata, strata), len(names), max(stratum) + 1)
    same = np.bincount(row, weights=[a == b for a, b in zip(first, second, strict=True)])

    def kappas(weights: Float[np.ndarray, "R C"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return kappa, observed and expected agreement with weighted clusters."""
        size = weights @ sizes
        frequencies = [weights @ table for table in tables]
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = np.nansum(frequencies[0] * frequencies[1] / size[:, stratum], axis=1)
            total = size.sum(axis=1)
            observed = weights @ same
            return (observed - chance) / (total - chance), observed / total, chance / total

    kappa, observed, expected = (float(v[0]) for v in kappas(np.ones((1, len(names)))))
    if not np.isfinite(kappa):
        return None
    interval = None
    if len(names) > 1:
        resampled = [kappas(weights)[0] for weights in draw_weights(len(names), resamples, seed)]
        interval = percentile_interval(np.concatenate(resampled), len(names))
    return Kappa(kappa=kappa, interval=interval, observed=observed, expected=expected, n=len(first))


def _indices(items: Sequence[Hashable], order: Iterable[Hashable]) -> list[int]:
    """Return the index of each item among the distinct ones of `order`."""
    index = {name: number for number, name in enumerate(dict.fromkeys(order))}
    return [index[item] for item in items]


def _counts(rows: list[int], columns: list[int], height: int, width: int) -> np.ndarray:
    """Return a table of how often each pair of row and column occurs."""
    table = np.zeros((height, width))
    np.add.at(table, (rows, columns), 1)
    return table


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of `n` independent points."""

    rho: float
    interval: Interval | None  # 95 %, points resampled; None if most resamples are constant
    p: float  # two-sided permutation test, over all orders or many
    least_p: float  # smallest p that so few points can reach
    n: int


def spearman(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    resamples: int = 2000,
    seed: int = 0,
) -> Correlation | None:
    """Return the rank correlation, its percentile bootstrap interval and its permutation test.

    Args:
        x: First coordinate of each point.
        y: Second coordinate of each point.
        resamples: Number of resamples; up to ten times as many orders are tested.
        seed: Seed of resamples and orders.

    Returns:
        The correlation, or None with fewer than MIN_POINTS points or a constant coordinate.
    """
    n = len(x)
    if n < MIN_POINTS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    first, second = rankdata(x), rankdata(y)
    rho = float(_correlate(first, second))
    generator = np.random.default_rng(seed)
    if factorial(n) <= 10 * resamples:
        orders = np.array(list(permutations(range(n))))
        extra = 0
    else:
        orders = generator.permuted(np.tile(np.arange(n), (10 * resamples, 1)), axis=1)
        extra = 1  # the observed order is one of them
    extreme = int((np.abs(_correlate(first, second[orders])) >= abs(rho) - 1e-9).sum())
    drawn = generator.integers(0, n, size=(resamples, n))
    resampled = _correlate(rankdata(x[drawn], axis=1), rankdata(y[drawn], axis=1))
    resampled = resampled[np.isfinite(resampled)]
    interval = None
    if 2 * len(resampled) > resamples:
        interval = percentile_interval(resampled, n)
    return Correlation(
        rho=rho,
        interval=interval,
        p=(extreme + extra) / (len(orders) + extra),
        least_p=2 / factorial(n),
        n=n,
    )


def _correlate(
    x: Float[np.ndarray, "*lead n"], y: Float[np.ndarray, "*more n"]
) -> Float[np.ndarray, "*most"]:
    """Return Pearson's correlation over the last axis; NaN where a side is constant."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = (x * y).sum(axis=-1)
        return np.asarray(covariance / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1)))
