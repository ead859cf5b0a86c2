"""Paired tests: two models answered the same questions; is one better?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import bdtr, stdtrit

from spatialsv.stats.means import Mean, Table, Tree, block_sizes, leaves_of


def mcnemar_exact(first: Bool[np.ndarray, " Q"], second: Bool[np.ndarray, " Q"]) -> float:
    """Two-sided exact McNemar test on independent pairs of right and wrong answers.

    Only questions that exactly one model got right say which is better: under the null they
    split like fair coins. Questions about one scene are not independent pairs: where there are
    several a scene, p is too small, and `permutation` is the test to go by.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, total, 0.5))) if total else 1.0


def paired_permutation_test(
    first: Tree, second: Tree, resamples: int = 20_000, seed: int = 0
) -> float:
    """Two-sided paired permutation test that two scores on the same questions are one, clustered.

    Under the null the two models are exchangeable within each cluster, so each cluster's answers
    may as well be the other's. Each resample swaps the answers of some clusters and takes both
    scores again, whatever means they are made of. All ways to swap are tried where there are at
    most `resamples` of them, else `resamples` random ones (p is then at least 1 / (resamples + 1)).

    Raises:
        ValueError: the scores are not made of the same means.
    """
    trees = (first, second)
    if _structure(first) != _structure(second):
        raise ValueError("the two scores are means of different things: they cannot be paired")
    table = Table(trees)
    columns = [[table.column[leaf] for leaf in leaves_of(tree)] for tree in trees]
    # What swapping a cluster does to each leaf of the first; the opposite to those of the second.
    gains = [part[:, columns[1]] - part[:, columns[0]] for part in (table.sums, table.counts)]
    moved = (gains[0] != 0).any(axis=1) | (gains[1] != 0).any(axis=1)
    if not moved.any():  # a cluster that tells no difference has nothing to swap
        return 1.0
    gains = [gain[moved] for gain in gains]
    totals = [part.sum(axis=0) for part in (table.sums, table.counts)]

    def difference(swapped: Shaped[np.ndarray, "R C"]) -> Float[np.ndarray, " R"]:
        """The first score minus the second, after swaps."""
        means = np.empty((len(swapped), len(table.column)))
        for own, sign in zip(columns, (1, -1), strict=True):
            shifts = [
                total[own] + sign * (swapped @ g) for total, g in zip(totals, gains, strict=True)
            ]
            with np.errstate(invalid="ignore"):
                means[:, own] = shifts[0] / shifts[1]
        return table.value(first, means) - table.value(second, means)

    count = int(moved.sum())
    # Sums of scores such as 0.1 differ in the last bit between orders of summation.
    observed = abs(difference(np.zeros((1, count)))[0]) - 1e-9
    if 2**count <= resamples:
        swaps = np.array(list(product((0.0, 1.0), repeat=count)))
        return float((np.abs(difference(swaps)) >= observed).mean())
    generator = np.random.default_rng(seed)
    extreme = 0
    for size in block_sizes(count, resamples):
        swaps = generator.integers(0, 2, size=(size, count), dtype=np.int8).astype(float)
        extreme += int((np.abs(difference(swaps)) >= observed).sum())
    return (extreme + 1) / (resamples + 1)


def _structure(tree: Tree) -> tuple | None:
    """How means are joined to a score."""
    return None if isinstance(tree, Mean) else tuple(map(_structure, tree.parts))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that may be compared with one level, all at once."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def detectable_difference(
    error: float | None, freedom: float | None = None, level: float = 0.05, power: float = 0.8
) -> float | None:
    """The true difference that a two-sided test at `level` would find with probability `power`.

    (t_{1 - level / 2} + t_power) times a standard error: 2.80 times at the usual settings.

    Args:
        error: of the difference, such as `Comparison.error`; None gives None.
        freedom: degrees of freedom of the error; None: it is known, t is normal.
    """
    if error is None:
        return None
    freedom = np.inf if freedom is None else freedom
    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power)) * error
