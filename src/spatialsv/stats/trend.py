"""Linear trends of scores over a measured quantity, with control for question difficulty.

A trend over scenes may reflect difficulty: an easy scene has both better geometry and better
answers. Two ways to control for it, which may be combined:

- `controls`: known measures of difficulty are regressed out of both sides. A noisy control, such as
  whether another model is correct, removes only a part; with few questions per scene a small one
  (a tenth with eight, see tests/stats/test_trend.py);
- the difference to another model's score on the same question as the score: whatever affects both
  models alike cancels, known or not.

Shapes: Q questions, K controls.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata, t

from spatialsv.stats.intervals import Interval, clustered_mean
from spatialsv.stats.paired import paired_permutation_test


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The change of a score per unit of the explanatory variable."""

    slope: float
    interval: Interval  # 95 %, from the standard error clustered by scene
    p: float  # two-sided, of slope 0
    n: int
    scenes: int


def fit_trend(
    scores: Float[np.ndarray, " Q"],
    against: Float[np.ndarray, " Q"],
    clusters: Sequence[Hashable],
    controls: Float[np.ndarray, "Q K"] | None = None,
    resamples: int = 20_000,
    seed: int = 0,
) -> Trend | None:
    """Regress `scores` on `against`, `controls` and a constant by least squares.

    The interval uses the cluster-robust sandwich estimator (CR1) and t with one degree of freedom
    less than clusters. The test flips the signs of the clusters' effective scores: the residuals of
    `against` times the residuals of `scores` given the controls, summed by cluster, have mean 0 if
    the slope is 0 (Hemerik, Goeman and Finos 2020). Clusters may differ in size and variance.

    Args:
        scores: Score of each question.
        against: Explanatory variable.
        clusters: Cluster (scene) of each question.
        controls: Variables to control for.
        resamples: Number of sign flips.
        seed: Seed of the sign flips.

    Returns:
        The trend, or None if `against` is a linear combination of the controls, or with fewer than
        three clusters.
    """
    known = np.ones((len(scores), 1))
    if controls is not None:
        known = np.concatenate([known, controls], axis=1)
    x, y = _residuals(known, against), _residuals(known, scores)
    index = _cluster_indices(clusters)
    count, total = int(index.max(initial=-1)) + 1, float(x @ x)
    if count < 3 or total <= 1e-12 * max(float(against @ against), 1e-300):
        return None
    slope = float(x @ y) / total
    residual = np.bincount(index, weights=x * (y - slope * x))
    effects = x * y / max(np.abs(x * y).max(), 1e-300)  # independent of units
    n, terms = len(y), int(np.linalg.matrix_rank(known)) + 1
    correction = count / (count - 1) * (n - 1) / max(n - terms, 1)
    reach = float(t.ppf(0.975, count - 1) * np.sqrt(correction * residual @ residual) / total)
    p = paired_permutation_test(
        clustered_mean(effects, clusters),
        clustered_mean(np.zeros_like(effects), clusters),
        resamples,
        seed,
    )
    return Trend(
        slope=slope, interval=Interval(slope - reach, slope + reach), p=p, n=n, scenes=count
    )


def dummy_variables(names: Sequence[str]) -> Float[np.ndarray, "Q K"]:
    """Return an indicator column for each distinct name but the first."""
    kinds = list(dict.fromkeys(names))[1:]
    return np.array([[float(name == kind) for kind in kinds] for name in names]).reshape(
        len(names), len(kinds)
    )


def descending_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Return ranks from 0 for the greatest value to 1 for the least; ties share the mean rank."""
    order = rankdata(-np.array(list(values.values()), dtype=float)) - 1
    return dict(zip(values, (order / max(len(values) - 1, 1)).tolist(), strict=True))


def equal_bins(values: Mapping[str, float], count: int = 4) -> list[list[str]]:
    """Divide scenes into bins of nearly equal size by value, the greatest values first."""
    order = sorted(values, key=lambda name: -values[name])
    return [order[len(order) * b // count : len(order) * (b + 1) // count] for b in range(count)]


def _residuals(
    known: Float[np.ndarray, "Q K"], values: Float[np.ndarray, " Q"]
) -> Float[np.ndarray, " Q"]:
    """Return the residuals of `values` regressed on the columns of `known`."""
    return np.asarray(values - known @ np.linalg.lstsq(known, values, rcond=None)[0])


def _cluster_indices(names: Sequence[Hashable]) -> Int[np.ndarray, " Q"]:
    """Return consecutive numbers of clusters, in order of appearance."""
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=np.int64)
