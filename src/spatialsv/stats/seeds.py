"""Aggregation over seeds of training: mean, standard deviation, and intervals of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import Tree, resample_scores


@dataclass(frozen=True)
class SeedStatistics:
    """A number over `n` seeds."""

    mean: float
    deviation: float | None  # sample standard deviation; None for a single seed
    n: int


def summarise_seeds(values: Sequence[float | int]) -> SeedStatistics:
    """Return mean and sample standard deviation of a number over seeds.

    Args:
        values: The number at each seed.

    Returns:
        Its statistics.

    Raises:
        ValueError: `values` is empty.
    """
    if not values:
        raise ValueError("Cannot aggregate over 0 seeds. Give at least one value.")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SeedStatistics(float(np.mean(values)), deviation, len(values))


def summarise_metrics(
    runs: Sequence[Mapping[str, float | int | None]],
) -> dict[str, SeedStatistics]:
    """Return statistics of each metric over the runs that have it, in order of appearance."""
    names = dict.fromkeys(name for run in runs for name in run)
    values = {
        name: [value for run in runs if (value := run.get(name)) is not None] for name in names
    }
    return {name: summarise_seeds(numbers) for name, numbers in values.items() if numbers}


def interval_over_seeds(
    first: Sequence[Tree],
    second: Sequence[Tree],
    freedom: float,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a hierarchical bootstrap interval of the difference between two models' mean scores.

    A resample draws seeds of each model, and scenes. All seeds answer questions about the same
    scenes, so scenes are drawn once for all seeds and both models. If they were drawn anew within
    each seed, as suits data where each seed has its own (Saravanan et al. 2020), their variance
    would average out over seeds. The deviation of k resampled seeds is enlarged by
    sqrt(k / (k - 1)), and all deviations by t / z, since few seeds estimate a variance poorly.

    Args:
        first: The first model's score at each seed.
        second: The second model's score at each seed. A model of one seed adds no variance.
        freedom: Degrees of freedom of the difference's standard error.
        resamples: Number of resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        The interval of the first model's mean minus the second's.
    """
    generator = np.random.default_rng([seed, 1])  # not the stream that draws scenes
    scores = resample_scores([*first, *second], resamples, seed)
    sides = (scores[:, : len(first)], scores[:, len(first) :])
    means = [
        side.mean(axis=1) + _seed_deviations([tree.score for tree in trees], resamples, generator)
        for side, trees in zip(sides, (first, second), strict=True)
    ]
    values, tail = means[0] - means[1], 0.5 + level / 2
    centre = float(np.nanmean(values))
    stretched = centre + (values - centre) * stdtrit(freedom, tail) / ndtri(tail)
    return percentile_interval(stretched, np.inf, level)


def _seed_deviations(
    scores: Sequence[float], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, " R"]:
    """Return deviations of the mean over resampled seeds, enlarged for their small number."""
    count = len(scores)
    if count == 1:
        return np.zeros(resamples)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    return np.asarray(np.sqrt(count / (count - 1)) * (drawn @ scores - np.mean(scores)))
