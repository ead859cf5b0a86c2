"""Does a score rise with something measured, and would it if all questions were equally hard?

A trend over scenes may be difficulty's: an easy scene is both seen and answered better. Two ways to
take it out, which may be combined:

- controls: what is known of difficulty is regressed out of both sides. A control that is noisy,
  such as whether another model was right, takes out only a part, and of few questions a scene a
  small one (tests/stats/test_trend.py: of eight a tenth);
- the difference to another model's score on the same question as the score: whatever makes both
  err alike cancels, known or not.

Q questions, K controls.
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
    """By how much a score changes when what it is held against grows by 1."""

    slope: float
    interval: Interval  # 95 %, by the standard error clustered by scene
    p: float  # two-sided, that the slope is 0
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
    """The least-squares slope of `scores` over `against` and `controls`, a constant among them.

    The interval is by the sandwich estimator with whole clusters as units (CR1), t with one degree
    of freedom less than there are clusters. The test flips the signs of the clusters' effective
    scores: what is left of `against` times what is left of `scores` when the controls are taken
    out, summed by cluster, has mean 0 if the slope has (Hemerik, Goeman and Finos 2020). Neither
    asks that clusters be of one size or vary alike.

    Returns: None where `against` is a mix of the controls, or with fewer than three clusters.
    """
    known = np.ones((len(scores), 1))
    if controls is not None:
        known = np.concatenate([known, controls], axis=1)
    x, y = _left_over(known, against), _left_over(known, scores)
    index = _numbered(clusters)
    count, total = int(index.max(initial=-1)) + 1, float(x @ x)
    if count < 3 or total <= 1e-12 * max(float(against @ against), 1e-300):
        return None
    slope = float(x @ y) / total
    residual = np.bincount(index, weights=x * (y - slope * x))
    pulls = x * y / max(np.abs(x * y).max(), 1e-300)  # of one size, whatever the units
    n, terms = len(y), int(np.linalg.matrix_rank(known)) + 1
    correction = count / (count - 1) * (n - 1) / max(n - terms, 1)
    reach = float(t.ppf(0.975, count - 1) * np.sqrt(correction * residual @ residual) / total)
    return Trend(
        slope=slope,
        interval=Interval(slope - reach, slope + reach),
        p=paired_permutation_test(
            clustered_mean(pulls, clusters),
            clustered_mean(np.zeros_like(pulls), clusters),
            resamples,
            seed,
        ),
        n=n,
        scenes=count,
    )


def dummy_variables(names: Sequence[str]) -> Float[np.ndarray, "Q K"]:
    """A column for each name but the first: 1 where it stands. As controls, they compare like with
    like."""
    kinds = list(dict.fromkeys(names))[1:]
    return np.array([[float(name == kind) for kind in kinds] for name in names]).reshape(
        len(names), len(kinds)
    )


def descending_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Each scene's rank, from 0 for the greatest value to 1 for the least; ties share theirs."""
    order = rankdata(-np.array(list(values.values()), dtype=float)) - 1
    return dict(zip(values, (order / max(len(values) - 1, 1)).tolist(), strict=True))


def equal_bins(values: Mapping[str, float], count: int = 4) -> list[list[str]]:
    """The scenes in bins of as equal a number as can be, by value, the greatest first."""
    order = sorted(values, key=lambda name: -values[name])
    return [order[len(order) * b // count : len(order) * (b + 1) // count] for b in range(count)]


def _left_over(
    known: Float[np.ndarray, "Q K"], values: Float[np.ndarray, " Q"]
) -> Float[np.ndarray, " Q"]:
    """What no mix of the columns of `known` explains."""
    return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]


def _numbered(names: Sequence[Hashable]) -> Int[np.ndarray, " Q"]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=np.int64)
