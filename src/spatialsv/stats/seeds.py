"""Several seeds of training: how far their luck and the choice of scenes move a difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from spatialsv.stats.intervals import Interval, interval_of
from spatialsv.stats.means import Tree, resampled


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
    scores = resampled([*first, *second], resamples, seed)
    sides = (scores[:, : len(first)], scores[:, len(first) :])
    means = [
        side.mean(axis=1) + _luck([tree.score for tree in trees], resamples, generator)
        for side, trees in zip(sides, (first, second), strict=True)
    ]
    values, tail = means[0] - means[1], 0.5 + level / 2
    middle = float(np.nanmean(values))
    stretched = middle + (values - middle) * stdtrit(freedom, tail) / ndtri(tail)
    return interval_of(stretched, np.inf, level)


def _luck(
    scores: Sequence[float], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, " R"]:
    """How far the mean of resampled seeds is from theirs."""
    count = len(scores)
    if count == 1:
        return np.zeros(resamples)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    return np.sqrt(count / (count - 1)) * (drawn @ scores - np.mean(scores))
