"""Several seeds of training: how far luck in training and the choice of scenes move a difference.

Every seed of a model answers about the same scenes: seeds and scenes are crossed. A resample draws
scenes once, for all seeds and both models, and seeds of each model (Owen 2007, the pigeonhole
bootstrap; Saravanan et al. 2020 draw scenes anew within each seed, which fits nested data, and here
would count the luck of the scenes as if each seed had had its own).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from spatialsv.stats.means import Tree, resampled


def resampled_over_seeds(
    first: Sequence[Tree],
    second: Sequence[Tree],
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Float[np.ndarray, " R"]:
    """The first model's mean score minus the second's, in resamples of scenes and of seeds.

    A handful of seeds, resampled as they are, vary too little: by (k - 1) / k in variance, and
    without the long tails of what k values tell about their spread. Their deviations are stretched
    by sqrt(k / (k - 1)) times t_{k-1} / z at `level`. A model of one seed has no such part.
    """
    scores = resampled([*first, *second], resamples, seed)
    generator = np.random.default_rng([seed, 1])
    parts = (scores[:, : len(first)], scores[:, len(first) :])
    means = [_over_seeds(part, generator, level) for part in parts]
    return means[0] - means[1]


def _over_seeds(
    scores: Float[np.ndarray, "R seeds"], generator: np.random.Generator, level: float
) -> Float[np.ndarray, " R"]:
    count = scores.shape[1]
    mean = scores.mean(axis=1)
    if count == 1:
        return mean
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=len(scores)) / count
    tail = 0.5 + level / 2
    stretch = np.sqrt(count / (count - 1)) * stdtrit(count - 1, tail) / ndtri(tail)
    return mean + stretch * ((scores * drawn).sum(axis=1) - mean)
