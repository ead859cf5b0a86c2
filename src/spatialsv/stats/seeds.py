"""Several seeds of training: how far their luck and the choice of scenes move a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import Tree, resample_scores


def interval_over_seeds(
    first: Sequence[Tree],
    second: Sequence[Tree],
    freedom: float,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Hierarchical bootstrap interval of the first model's mean score minus the second's.

    A resample draws seeds of each model, and scenes. Every seed answers about the same scenes, so
    these are drawn once for all seeds and both models; were they drawn anew within each seed, as in
    data where each has its own (Saravanan et al. 2020), their luck would average out over seeds.
    Seeds deviate by their scores on all scenes, and by sqrt(k / (k - 1)) more than k of them do
    when resampled. A handful of seeds does not know its spread: deviations are stretched by t / z.

    Args:
        first: the score at each seed; a model of one seed has no luck that could be told.
        freedom: degrees of freedom of the difference's standard error.
    """
    generator = np.random.default_rng([seed, 1])  # not the stream that draws scenes
    scores = resample_scores([*first, *second], resamples, seed)
    sides = (scores[:, : len(first)], scores[:, len(first) :])
    means = [
        side.mean(axis=1) + _luck([tree.score for tree in trees], resamples, generator)
        for side, trees in zip(sides, (first, second), strict=True)
    ]
    values, tail = means[0] - means[1], 0.5 + level / 2
    middle = float(np.nanmean(values))
    stretched = middle + (values - middle) * stdtrit(freedom, tail) / ndtri(tail)
    return percentile_interval(stretched, np.inf, level)


def _luck(
    scores: Sequence[float], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, " R"]:
    """How far the mean of resampled seeds is from theirs."""
    count = len(scores)
    if count == 1:
        return np.zeros(resamples)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    return np.sqrt(count / (count - 1)) * (drawn @ scores - np.mean(scores))


@dataclass(frozen=True)
class SeedStatistics:
    """A number over `n` seeds."""

    mean: float
    deviation: float | None  # sample standard deviation; None for one seed, which shows no spread
    n: int


def summarise_seeds(values: Sequence[float | int]) -> SeedStatistics:
    """Mean and sample standard deviation of one number over seeds.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no seeds to aggregate: give at least one value")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SeedStatistics(float(np.mean(values)), deviation, len(values))


def summarise_metrics(
    runs: Sequence[Mapping[str, float | int | None]],
) -> dict[str, SeedStatistics]:
    """Each metric over the runs that have it, in the order of first appearance."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: summarise_seeds(found)
        for name in names
        if (found := [run[name] for run in runs if run.get(name) is not None])
    }
