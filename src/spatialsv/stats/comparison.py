"""Two models that answered the same questions: what is between them, and what could have shown."""

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

LEVEL = 0.05  # of Holm-corrected p-values


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first model's score minus the second's, on the same questions."""

    n: int
    scenes: int
    first: float  # scores in [0, 1], over seeds their means
    second: float
    difference: float
    interval: Interval | None  # 95 %, resampled by scene, and by seed; None of a single scene
    p: float  # two-sided: permutation, clustered by scene; over seeds `p_over_seeds`
    mcnemar: float | None  # exact; takes questions as independent; None but for right and wrong
    error: float | None  # the difference's standard error; None of a single scene
    freedom: float | None  # the error's degrees of freedom; None: taken as known, at one seed each
    first_seeds: SeedStatistics
    second_seeds: SeedStatistics


def compare_scores(
    first: Sequence[Tree], second: Sequence[Tree], seed: int = 0, resamples: int = 2000
) -> Comparison:
    """Two models' scores on the same questions, each of one seed of training or of several.

    Args:
        first: the score at each seed; the items of all are the same and in the same order.
        second: the same of the other model.
        seed: of the resampling.

    Raises:
        ValueError: no seed, or scores that are not made of the same means.
    """
    spreads = [summarise_seeds([tree.score for tree in side]) for side in (first, second)]
    scenes = set(chain.from_iterable(map(clusters_of, (*first, *second))))
    error, freedom = difference_error(first, second)
    if len(first) == len(second) == 1:
        draws = resample_scores([first[0], second[0]], resamples, seed)
        interval = percentile_interval(draws[:, 0] - draws[:, 1], len(scenes))
        p, mcnemar = (
            paired_permutation_test(first[0], second[0], seed=seed),
            _mcnemar(first[0], second[0]),
        )
    else:
        interval = interval_over_seeds(first, second, freedom, resamples, seed)
        p, mcnemar = _p_over_seeds(spreads, error, freedom), None
    return Comparison(
        n=first[0].n,
        scenes=len(scenes),
        first=spreads[0].mean,
        second=spreads[1].mean,
        difference=spreads[0].mean - spreads[1].mean,
        interval=interval if len(scenes) > 1 else None,
        p=p,
        mcnemar=mcnemar,
        error=error,
        freedom=freedom,
        first_seeds=spreads[0],
        second_seeds=spreads[1],
    )


def difference_error(
    first: Sequence[Tree], second: Sequence[Tree]
) -> tuple[float | None, float | None]:
    """The difference's standard error over scenes and seeds, and its degrees of freedom.

    As in `Comparison`.

    Scenes by the linearised score of the seeds' mean, seeds by their own deviation; the degrees are
    Satterthwaite's (1946). What a seed adds on one scene alone is in both parts, so that the error
    is, if anything, too large.
    """
    table = Table([*first, *second])
    pulls = [np.mean([table.influence(t) for t in side], axis=0) for side in (first, second)]
    scenes = standard_error(pulls[0] - pulls[1])
    if len(first) == len(second) == 1:
        return scenes, None
    if scenes is None:
        return None, 1.0
    spreads = [summarise_seeds([tree.score for tree in side]) for side in (first, second)]
    parts = [(scenes**2, len(table.order) - 1)]
    parts += [(s.deviation**2 / s.n, s.n - 1) for s in spreads if s.deviation is not None]
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0, 1.0
    return float(np.sqrt(total)), total**2 / sum(v**2 / freedom for v, freedom in parts)


def _p_over_seeds(spreads: Sequence[SeedStatistics], error: float | None, freedom: float) -> float:
    """Two-sided t test that models trained again, and asked about other scenes, would be equal.

    A permutation of answers takes the trained models as given, and would call the luck of training
    significant.
    """
    difference = abs(spreads[0].mean - spreads[1].mean)
    if not error:
        return 1.0 if error is None or difference == 0 else 0.0
    return float(2 * stdtr(freedom, -difference / error))


def _mcnemar(first: Tree, second: Tree) -> float | None:
    if not isinstance(first, Mean) or not isinstance(second, Mean) or first.n != second.n:
        return None
    answers = [np.array(tree.scores) for tree in (first, second)]
    if not np.isin(answers, (0, 1)).all():
        return None
    return mcnemar_exact(*(values.astype(bool) for values in answers))


def compare_jointly(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Each as a record, `corrected` over all, with `minimum_detectable_difference`.

    That is the true difference that would be found at least four times out of five after the
    correction, which at first asks for LEVEL divided by their number.
    """
    tests = correct_p_values([asdict(comparison) for comparison in comparisons])
    for test in tests:
        error, freedom = test["error"], test["freedom"]
        test["minimum_detectable_difference"] = detectable_difference(
            error, freedom, LEVEL / len(tests)
        )
    return tests


def correct_p_values(tests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each test, which has a `p`, with `p_holm`, corrected over all, and `significant` at LEVEL."""
    adjusted = holm([test["p"] for test in tests])
    return [
        {**test, "p_holm": p, "significant": p < LEVEL}
        for test, p in zip(tests, adjusted, strict=True)
    ]
