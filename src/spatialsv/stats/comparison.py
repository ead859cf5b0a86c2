"""Comparison of two models' scores on the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
from scipy.special import stdtr

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import Mean, Table, Tree, clusters_of, resample_scores, standard_error
from spatialsv.stats.paired import (
    detectable_difference,
    holm,
    mcnemar_exact,
    paired_permutation_test,
)
from spatialsv.stats.seeds import SeedStatistics, interval_over_seeds, summarise_seeds

LEVEL = 0.05  # significance level of Holm-corrected p-values


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first model's score minus the second's, on the same questions."""

    n: int
    scenes: int
    first: float  # score in [0, 1]; with several seeds their mean
    second: float
    difference: float
    interval: Interval | None  # 95 %, resampled by scene and seed; None with a single scene
    p: float  # two-sided: permutation test clustered by scene; with several seeds a t test
    mcnemar: float | None  # exact, assumes independent questions; None unless scores are 0 or 1
    standard_error: float | None  # of the difference; None with a single scene
    degrees_of_freedom: float | None  # of the standard error; None: infinite, at one seed each
    first_seeds: SeedStatistics
    second_seeds: SeedStatistics


def compare_scores(
    first: Sequence[Tree], second: Sequence[Tree], seed: int = 0, resamples: int = 2000
) -> Comparison:
    """Compare two models' scores on the same questions, over one or several seeds of training.

    Args:
        first: The first model's score at each seed, with the same items in the same order.
        second: The second model's score at each seed.
        seed: Seed of the resamples.
        resamples: Number of resamples.

    Returns:
        The comparison.

    Raises:
        ValueError: A model has no seed, or the scores are made of different means.
    """
    statistics = [summarise_seeds([tree.score for tree in side]) for side in (first, second)]
    scenes = set(chain.from_iterable(map(clusters_of, (*first, *second))))
    error, freedom = difference_error(first, second)
    mcnemar = None
    if freedom is None:
        draws = resample_scores([first[0], second[0]], resamples, seed)
        interval = percentile_interval(draws[:, 0] - draws[:, 1], len(scenes))
        p = paired_permutation_test(first[0], second[0], seed=seed)
        mcnemar = _mcnemar(first[0], second[0])
    else:
        interval = interval_over_seeds(first, second, freedom, resamples, seed)
        p = _p_over_seeds(statistics, error, freedom)
    return Comparison(
        n=first[0].n,
        scenes=len(scenes),
        first=statistics[0].mean,
        second=statistics[1].mean,
        difference=statistics[0].mean - statistics[1].mean,
        interval=interval if len(scenes) > 1 else None,
        p=p,
        mcnemar=mcnemar,
        standard_error=error,
        degrees_of_freedom=freedom,
        first_seeds=statistics[0],
        second_seeds=statistics[1],
    )


def difference_error(
    first: Sequence[Tree], second: Sequence[Tree]
) -> tuple[float | None, float | None]:
    """Return the difference's standard error over scenes and seeds, and its degrees of freedom.

    The variance over scenes is that of the linearised score, averaged over seeds; the variance over
    seeds is their sample variance. The degrees of freedom are Satterthwaite's (1946). Interactions
    of seed and scene are in both parts, so that the error tends to be too large.

    Args:
        first: The first model's score at each seed.
        second: The second model's score at each seed.

    Returns:
        Standard error and degrees of freedom, as in `Comparison`.
    """
    table = Table([*first, *second])
    influences = [np.mean([table.influence(t) for t in side], axis=0) for side in (first, second)]
    scenes = standard_error(influences[0] - influences[1])
    if len(first) == len(second) == 1:
        return scenes, None
    if scenes is None:
        return None, 1.0
    statistics = [summarise_seeds([tree.score for tree in side]) for side in (first, second)]
    parts = [(scenes**2, len(table.order) - 1)]
    parts += [(s.deviation**2 / s.n, s.n - 1) for s in statistics if s.deviation is not None]
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0, 1.0
    return float(np.sqrt(total)), total**2 / sum(v**2 / freedom for v, freedom in parts)


def _p_over_seeds(
    statistics: Sequence[SeedStatistics], error: float | None, freedom: float
) -> float:
    """Test the difference by a two-sided t test over seeds and scenes.

    A permutation of answers is conditional on the trained models: variance across seeds would look
    significant.

    Args:
        statistics: Of both models.
        error: Standard error of the difference.
        freedom: Its degrees of freedom.

    Returns:
        The p-value.
    """
    difference = abs(statistics[0].mean - statistics[1].mean)
    if not error:
        return 1.0 if error is None or difference == 0 else 0.0
    return float(2 * stdtr(freedom, -difference / error))


def _mcnemar(first: Tree, second: Tree) -> float | None:
    """Return the exact McNemar test's p-value, or None unless all scores are 0 or 1."""
    if not isinstance(first, Mean) or not isinstance(second, Mean) or first.n != second.n:
        return None
    answers = [np.array(tree.scores) for tree in (first, second)]
    if not np.isin(answers, (0, 1)).all():
        return None
    return mcnemar_exact(*(values.astype(bool) for values in answers))


def compare_jointly(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return comparisons as records with p-values corrected over all.

    Args:
        comparisons: The comparisons of one family of tests.

    Returns:
        Records as from `correct_p_values`, with the `minimum_detectable_difference` at 80 % power
        and the level that the Holm correction starts from, LEVEL divided by their number.
    """
    tests = correct_p_values([asdict(comparison) for comparison in comparisons])
    for test in tests:
        test["minimum_detectable_difference"] = detectable_difference(
            test["standard_error"], test["degrees_of_freedom"], LEVEL / len(tests)
        )
    return tests


def correct_p_values(tests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add Holm-corrected p-values to tests.

    Args:
        tests: Records with a `p`.

    Returns:
        The records with `p_holm`, corrected over all, and `significant` at LEVEL.
    """
    adjusted = holm([test["p"] for test in tests])
    return [
        {**test, "p_holm": p, "significant": p < LEVEL}
        for test, p in zip(tests, adjusted, strict=True)
    ]
