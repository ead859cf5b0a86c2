"""How many labels a method saves: the horizontal distance between two curves of accuracy.

A curve is accuracy over the base-2 logarithm of the number of labelled scenes, linear between its
points. At an accuracy that both curves reach, the distance is the logarithm of the ratio of labels:
1 says that the second method needs twice the labels of the first one. It is averaged over all
accuracies that both reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

LEVELS = 64  # accuracies at which the distance is measured
GRID = 1024  # points of a curve

Scores = Mapping[int, Float[np.ndarray, "K S"]]  # labels -> seeds x scenes: sum of scores


@dataclass(frozen=True, kw_only=True)
class LabelEfficiency:
    """How many times fewer labels the first method needs, as a base-2 logarithm."""

    log2_ratio: float  # positive: the first method needs fewer
    low: float  # 95 % interval over scenes and training seeds
    high: float
    is_bound: bool  # no common accuracy: the ratio is at least (or at most) this large


def label_efficiency(
    first: Scores,
    second: Scores,
    counts: Int[np.ndarray, " S"],
    resamples: int = 2000,
    seed: int = 0,
) -> LabelEfficiency:
    """Compare two methods by the labels that they need for the same accuracy.

    Args:
        first: for each number of labels, the sum of scores of each training seed in each scene.
        second: the same of the other method; scenes are the same, in the same order.
        counts: number of questions about each scene.
        resamples: of the bootstrap, over scenes (the same for both methods) and over seeds.
        seed: of the bootstrap.

    Returns:
        The ratio with its percentile interval.

    Raises:
        ValueError: a curve has fewer than two points, or a number of labels below 1.
    """
    for name, curve in (("first", first), ("second", second)):
        if len(curve) < 2 or min(curve) < 1:
            raise ValueError(
                f"label_efficiency: the {name} curve has labels {sorted(curve)}. Give two numbers"
                " or more, all at least 1."
            )
    rng = np.random.default_rng([seed, 61])
    scenes = len(counts)
    drawn = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=resamples)
    x1, x2 = np.log2(sorted(first)), np.log2(sorted(second))
    ratio, is_bound = _distance(x1, _accuracies(first, counts), x2, _accuracies(second, counts))
    resampled = [
        _distance(
            x1,
            _resampled(first, counts, weights, rng),
            x2,
            _resampled(second, counts, weights, rng),
        )[0]
        for weights in drawn
    ]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return LabelEfficiency(log2_ratio=ratio, low=float(low), high=float(high), is_bound=is_bound)


def _accuracies(scores: Scores, counts: Int[np.ndarray, " S"]) -> Float[np.ndarray, " L"]:
    """Return the accuracy at each number of labels: the mean over seeds."""
    total = float(counts.sum())
    return np.array([scores[n].sum(axis=1).mean() / total for n in sorted(scores)])


def _resampled(
    scores: Scores,
    counts: Int[np.ndarray, " S"],
    weights: Int[np.ndarray, " S"],
    rng: np.random.Generator,
) -> Float[np.ndarray, " L"]:
    """Return accuracies with scenes weighted, and with seeds drawn again."""
    sums = [scores[n][rng.integers(len(scores[n]), size=len(scores[n]))] for n in sorted(scores)]
    total = float(counts @ weights)
    return np.array([(own @ weights).mean() / total for own in sums])


def _distance(
    x1: Float[np.ndarray, " L"],
    y1: Float[np.ndarray, " L"],
    x2: Float[np.ndarray, " M"],
    y2: Float[np.ndarray, " M"],
) -> tuple[float, bool]:
    """Return the mean of x2 - x1 over the accuracies that both reach, and whether it is a bound."""
    low, high = max(y1.min(), y2.min()), min(y1.max(), y2.max())
    if low > high:  # one is better with its fewest labels than the other with its most
        first_is_better = y1.min() > y2.max()
        return float(x2[-1] - x1[0] if first_is_better else x2[0] - x1[-1]), True
    levels = np.linspace(low, high, LEVELS)
    return float(np.mean(_reach(x2, y2, levels) - _reach(x1, y1, levels))), False


def _reach(
    x: Float[np.ndarray, " L"], y: Float[np.ndarray, " L"], levels: Float[np.ndarray, " V"]
) -> Float[np.ndarray, " V"]:
    """Return the smallest x at which the curve reaches each level, to a grid's precision.

    A curve may fall: what was reached once counts as reached.
    """
    grid = np.linspace(x[0], x[-1], GRID)
    best = np.maximum.accumulate(np.interp(grid, x, y))
    return np.take(grid, np.searchsorted(best, levels).clip(max=GRID - 1))
