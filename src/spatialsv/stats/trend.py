"""Linear trends of scores over a measured quantity, with control for question difficulty.

A trend over scenes may reflect difficulty: an easy scene has both better geometry and better
answers. Two ways to control for it, which may be combined:

- `controls`: known measures of difficulty are regressed out of both sides. A noisy control, such as
  whether another model is correct, removes only a part; with few questions per scene a small one
  (a tenth with eight, see tests/stats/test_trend.py);
- the difference to another model's score on the same question as the score: whatever affects both
  models alike cancels, known or not.

Shapes: Q questions, K controls, C clusters, R sign flips.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from spatialsv.stats.intervals import Interval
from spatialsv.stats.paired import draw_swaps

LEVEL = 0.05  # p is below it exactly where the interval excludes 0


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The change of a score per unit of the explanatory variable."""

    slope: float
    interval: Interval | None  # 95 %, of the same test; None if unbounded: fewer than six clusters
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

    One test gives both p and interval: the interval holds the slopes that it does not reject. The
    residuals of `against` times the residuals of `scores`, summed by cluster, have mean 0 if the
    slope is 0. The test flips their signs by cluster (Hemerik, Goeman and Finos 2020), with each
    sum divided by its standard deviation, since residuals vary less than errors (De Santis, Goeman,
    Hemerik, Davenport and Finos 2025). Clusters may be few and differ in size and variance.

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
    basis = _orthonormal(known)
    x, y = (values - basis @ (basis.T @ values) for values in (against, scores))
    index = _cluster_indices(clusters)
    count, total = int(index.max(initial=-1)) + 1, float(x @ x)
    if count < 3 or total <= 1e-12 * max(float(against @ against), 1e-300):
        return None
    effects, sizes = (np.bincount(index, weights=x * values) for values in (y, x))
    overlaps = np.zeros((count, basis.shape[1]))  # of each cluster's x with the controls
    np.add.at(overlaps, index, x[:, None] * basis)
    bounds, extra = _slopes_not_rejected(effects, sizes, overlaps, resamples, seed)
    low, high = np.sort(bounds[:, 0]), np.sort(bounds[:, 1])[::-1]
    needed = int(np.ceil(LEVEL * (len(bounds) + extra) - 1e-9)) - extra  # for a p of LEVEL
    interval = Interval(float(low[needed - 1]), float(high[needed - 1]))
    return Trend(
        slope=float(effects.sum()) / total,
        interval=interval if np.isfinite(interval).all() else None,
        p=float(((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0)).sum() + extra) / (len(bounds) + extra),
        n=len(y),
        scenes=count,
    )


def _slopes_not_rejected(
    effects: Float[np.ndarray, " C"],
    sizes: Float[np.ndarray, " C"],
    overlaps: Float[np.ndarray, "C K"],
    resamples: int,
    seed: int,
) -> tuple[Float[np.ndarray, "R 2"], int]:
    """Return between which slopes each sign flip is at least as extreme as the data.

    For a slope b the sum of effects is A - b W, and with signs flipped (a - b w) / d, where d is
    its standard deviation relative to that of the sum. Since |w| / d <= W, the flip is as extreme
    for the slopes between (A - a / d) / (W - w / d) and (A + a / d) / (W + w / d).

    Returns:
        The two slopes of each flip, infinite for flips that are always as extreme; and the number
        of flips to add, as from `draw_swaps`.
    """
    parts = np.column_stack([effects, sizes, overlaps])
    unflipped, scale = parts[:, :2].sum(axis=0), np.abs(parts[:, :2]).sum(axis=0)
    swaps, extra = draw_swaps(len(parts), resamples, seed)
    found = []
    for block in swaps:
        flipped = (1 - 2 * block) @ parts
        variance = 1 - (flipped[:, 2:] ** 2).sum(axis=1) / unflipped[1]
        flipped = flipped[:, :2] / np.sqrt(np.where(variance > 1e-9, variance, 1))[:, None]
        sides = np.stack([unflipped - flipped, unflipped + flipped])
        sides[np.abs(sides) <= 1e-9 * scale] = 0
        is_bounded = np.asarray((sides[..., 1] > 0).all(axis=0))
        slopes = sides[..., 0] / np.where(is_bounded, sides[..., 1], 1)
        edges = np.column_stack([slopes.min(axis=0), slopes.max(axis=0)])
        found.append(np.where(is_bounded[:, None], edges, [-np.inf, np.inf]))
    return np.concatenate(found), extra


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


def _orthonormal(columns: Float[np.ndarray, "Q K"]) -> Float[np.ndarray, "Q rank"]:
    """Return an orthonormal basis of the span of columns, which may depend on each other."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > 1e-10 * singular.max(initial=0)])


def _cluster_indices(names: Sequence[Hashable]) -> Int[np.ndarray, " Q"]:
    """Return consecutive numbers of clusters, in order of appearance."""
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=np.int64)
