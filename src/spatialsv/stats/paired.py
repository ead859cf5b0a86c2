"""Paired tests: two models answered the same questions; is one better?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binom

from spatialsv.stats.intervals import cluster_sums


def mcnemar_exact(first: Bool[np.ndarray, " Q"], second: Bool[np.ndarray, " Q"]) -> float:
    """Two-sided exact McNemar test on independent pairs of right and wrong answers.

    Only questions that exactly one model got right say which is better: under the null they
    split like fair coins.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(binom.cdf(fewer, total, 0.5))) if total else 1.0


def sign_flip(
    differences: Float[np.ndarray, " Q"],
    clusters: Sequence[Hashable],
    resamples: int = 20_000,
    seed: int = 0,
) -> float:
    """Two-sided paired permutation test that the mean difference is 0, clustered.

    Under the null the two models are exchangeable within each cluster, so each cluster's sum of
    differences may as well have the other sign. All sign patterns are tried where there are at
    most `resamples` of them, else `resamples` random ones (p is then at least 1 / (resamples + 1)).
    """
    sums, _ = cluster_sums(differences, clusters)
    sums = sums[sums != 0]  # a zero has no sign to flip
    if not len(sums):
        return 1.0
    # Sums of scores such as 0.1 differ in the last bit between orders of summation.
    observed = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
    if 2 ** len(sums) <= resamples:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
        return float((np.abs(signs @ sums) >= observed).mean())
    generator = np.random.default_rng(seed)
    signs = generator.integers(0, 2, size=(resamples, len(sums)), dtype=np.int8) * 2.0 - 1.0
    extreme = int((np.abs(signs @ sums) >= observed).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that may be compared with one level, all at once."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted
