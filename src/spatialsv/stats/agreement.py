"""Do two answerers agree more than their habits alone would make them?

Q questions, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import draw_weights


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Cohen's kappa (1960): 0 as by chance, 1 always."""

    kappa: float
    interval: Interval | None  # 95 %, clusters resampled; None of fewer than two
    observed: float  # share of questions on which both say the same
    expected: float  # share if each kept its habits and looked at nothing
    n: int


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    strata: Sequence[Hashable],
    clusters: Sequence[Hashable],
    resamples: int = 2000,
    seed: int = 0,
) -> Kappa | None:
    """Agreement of two answers a question, beyond chance within each stratum.

    A habit is how often an answerer says what in a stratum: questions of one kind, whose answers
    mean the same. Chance is taken anew in every resample.

    Returns: None of no questions, or where chance alone makes all agree.
    """
    if not len(first):
        return None
    said = [list(zip(strata, answers, strict=True)) for answers in (first, second)]
    kinds = dict.fromkeys([*said[0], *said[1]])
    own = _columns([kind for kind, _ in kinds], strata)  # each answer's stratum
    names = list(dict.fromkeys(clusters))
    row = _columns(clusters, names)
    tables = [_counts(row, _columns(answers, kinds), len(names), len(kinds)) for answers in said]
    sizes = _counts(row, _columns(strata, strata), len(names), max(own) + 1)
    same = np.bincount(row, weights=[a == b for a, b in zip(first, second, strict=True)])

    def kappas(weights: Float[np.ndarray, "R C"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kappa, and the shares observed and expected, a cluster counting as often as it weighs."""
        size = weights @ sizes
        habits = [weights @ table for table in tables]
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = np.nansum(habits[0] * habits[1] / size[:, own], axis=1)
            total = size.sum(axis=1)
            observed = weights @ same
            return (observed - chance) / (total - chance), observed / total, chance / total

    kappa, observed, expected = (float(v[0]) for v in kappas(np.ones((1, len(names)))))
    if not np.isfinite(kappa):
        return None
    interval = None
    if len(names) > 1:
        found = [kappas(weights)[0] for weights in draw_weights(len(names), resamples, seed)]
        interval = percentile_interval(np.concatenate(found), len(names))
    return Kappa(kappa=kappa, interval=interval, observed=observed, expected=expected, n=len(first))


def _columns(items: Sequence[Hashable], order: Iterable[Hashable]) -> list[int]:
    """The place of each item among the distinct ones of `order`."""
    places = {name: number for number, name in enumerate(dict.fromkeys(order))}
    return [places[item] for item in items]


def _counts(rows: list[int], columns: list[int], height: int, width: int) -> np.ndarray:
    found = np.zeros((height, width))
    np.add.at(found, (rows, columns), 1)
    return found


MIN_POINTS = 4  # points; three are in one of six orders, whatever they mean


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of `n` independent points."""

    rho: float
    interval: Interval | None  # 95 %, points resampled; None where most resamples are constant
    p: float  # two-sided, over all orders of the points, or many
    least_p: float  # that so few points can show, however well they agree
    n: int


def spearman(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    resamples: int = 2000,
    seed: int = 0,
) -> Correlation | None:
    """The correlation of ranks, its percentile bootstrap interval and its permutation test.

    Returns: None of fewer than FEWEST points, or where one side is constant.
    """
    n = len(x)
    if n < MIN_POINTS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    first, second = rankdata(x), rankdata(y)
    rho = float(_correlate(first, second))
    generator = np.random.default_rng(seed)
    if factorial(n) <= 10 * resamples:
        orders = np.array(list(permutations(range(n))))
        extra = 0
    else:
        orders = generator.permuted(np.tile(np.arange(n), (10 * resamples, 1)), axis=1)
        extra = 1  # the order at hand is one of them
    extreme = int((np.abs(_correlate(first, second[orders])) >= abs(rho) - 1e-9).sum())
    drawn = generator.integers(0, n, size=(resamples, n))
    found = _correlate(rankdata(x[drawn], axis=1), rankdata(y[drawn], axis=1))
    found = found[np.isfinite(found)]
    interval = None
    if 2 * len(found) > resamples:
        interval = percentile_interval(found, n)
    return Correlation(
        rho=rho,
        interval=interval,
        p=(extreme + extra) / (len(orders) + extra),
        least_p=2 / factorial(n),
        n=n,
    )


def _correlate(
    x: Float[np.ndarray, "*lead n"], y: Float[np.ndarray, "*more n"]
) -> Float[np.ndarray, "*most"] | Float[np.generic, ""]:
    """Pearson's correlation over the last axis; NaN where a side is constant."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
