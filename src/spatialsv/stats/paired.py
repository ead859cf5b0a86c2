"""Paired tests of two models on the same questions, Holm's correction, and power."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import bdtr, nctdtrinc, ndtri, stdtrit

from spatialsv.stats.means import Mean, Table, Tree, block_sizes, leaves_of


def mcnemar_exact(first: Bool[np.ndarray, " Q"], second: Bool[np.ndarray, " Q"]) -> float:
    """Test two models by McNemar's exact two-sided test, which assumes independent questions.

    Only questions that exactly one model answers correctly are informative; under the null
    hypothesis they split like fair coin flips. With several questions per scene p is too small; use
    `paired_permutation_test`.

    Args:
        first: Whether the first model's answers are correct.
        second: Whether the second model's answers are correct.

    Returns:
        The p-value.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, total, 0.5))) if total else 1.0


def paired_permutation_test(
    first: Tree, second: Tree, resamples: int = 20_000, seed: int = 0
) -> float:
    """Test by permutation whether two scores on the same questions are equal, two-sided.

    Under the null hypothesis the two models are exchangeable within each cluster. Each permutation
    swaps the models' answers in some clusters and recomputes both scores.

    Args:
        first: The first model's score.
        second: The second model's score.
        resamples: All permutations are used if there are at most so many, else so many random ones.
        seed: Seed of the random permutations.

    Returns:
        The p-value; at least 1 / (resamples + 1) with random permutations.

    Raises:
        ValueError: The scores are not made of the same means.
    """
    trees = (first, second)
    if structure_of(first) != structure_of(second):
        raise ValueError("Cannot pair the two scores: they are means of different groups.")
    table = Table(trees)
    columns = [[table.column[leaf] for leaf in leaves_of(tree)] for tree in trees]
    # Change of the first's leaves when a cluster is swapped; the second's change by the opposite.
    gains = [part[:, columns[1]] - part[:, columns[0]] for part in (table.sums, table.counts)]
    differs = (gains[0] != 0).any(axis=1) | (gains[1] != 0).any(axis=1)
    if not differs.any():
        return 1.0
    gains = [gain[differs] for gain in gains]
    totals = [part.sum(axis=0) for part in (table.sums, table.counts)]

    def difference(swapped: Shaped[np.ndarray, "R C"]) -> Float[np.ndarray, " R"]:
        """Return the first score minus the second after swaps."""
        means = np.empty((len(swapped), len(table.column)))
        for own, sign in zip(columns, (1, -1), strict=True):
            sums, counts = (
                total[own] + sign * (swapped @ gain)
                for total, gain in zip(totals, gains, strict=True)
            )
            with np.errstate(invalid="ignore"):
                means[:, own] = sums / counts
        return np.asarray(table.value(first, means) - table.value(second, means))

    # Sums of scores such as 0.1 differ in the last bit between orders of summation.
    count = int(differs.sum())
    observed = abs(difference(np.zeros((1, count)))[0]) - 1e-9
    swaps, extra = draw_swaps(count, resamples, seed)
    extreme, total = extra, extra
    for block in swaps:
        extreme += int((np.abs(difference(block)) >= observed).sum())
        total += len(block)
    return extreme / total


def draw_swaps(
    count: int, resamples: int, seed: int
) -> tuple[Iterator[Float[np.ndarray, "R C"]], int]:
    """Draw which clusters are swapped, or whose signs are flipped, in each permutation.

    Args:
        count: Number of clusters.
        resamples: All permutations are listed if there are at most so many, else so many are drawn.
        seed: Seed of the draws.

    Returns:
        Blocks of permutations, 1 where a cluster is swapped; and the number of permutations to add
        to them: 1, the observed data, if they are random, else 0.
    """
    if 2**count <= resamples:
        return iter([np.array(list(product((0.0, 1.0), repeat=count)))]), 0
    generator = np.random.default_rng(seed)
    blocks = (
        generator.integers(0, 2, size=(size, count), dtype=np.int8).astype(float)
        for size in block_sizes(count, resamples)
    )
    return blocks, 1


def structure_of(tree: Tree) -> tuple[Any, ...] | None:
    """Return the shape of a tree: nested tuples, None for a leaf."""
    return None if isinstance(tree, Mean) else tuple(map(structure_of, tree.parts))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's step-down method, in the order of `p_values`."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def detectable_difference(
    error: float | None, freedom: float | None = None, level: float = 0.05, power: float = 0.8
) -> float | None:
    """Return the minimum detectable difference of a two-sided test.

    It is 2.80 standard errors at the default settings, and more with few degrees of freedom: the
    non-centrality at which Student's t passes its critical value with probability `power`.

    Args:
        error: Standard error of the difference; None gives None.
        freedom: Degrees of freedom of the error; None: infinite, so that t is normal.
        level: Significance level.
        power: Probability of a significant result if the true difference is of this size.

    Returns:
        The difference, or None if `error` is None.
    """
    if error is None:
        return None
    if freedom is None:
        return float(ndtri(1 - level / 2) + ndtri(power)) * error
    return float(nctdtrinc(freedom, 1 - power, stdtrit(freedom, 1 - level / 2))) * error
