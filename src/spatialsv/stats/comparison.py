"""Comparison of two models' scores on the same questions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr, stdtridf, stdtrit

from spatialsv.stats.intervals import Interval, percentile_interval
from spatialsv.stats.means import Mean, Table, Tree, leaves_of, resample_scores, standard_error
from spatialsv.stats.paired import (
    detectable_difference,
    holm,
    mcnemar_exact,
    paired_permutation_test,
    structure_of,
)
from spatialsv.stats.seeds import SeedStatistics, summarise_seeds

LEVEL = 0.05  # significance level of Holm-corrected p-values
MIN_CHANGED = 10  # scenes whose scores differ, below which the standard error says little

Side = Literal["first", "second"]
SeedVariance = Literal["estimated", "pooled", "not covered"]


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """How well the difference between two scores is known, over scenes and training seeds."""

    scenes: int
    changed_scenes: int  # in which the two scores differ
    standard_error: float | None  # of the difference; None with a single scene
    degrees_of_freedom: float | None  # of the standard error; None: infinite, at one seed each
    # "pooled": one side has a single seed, whose variance is taken to be that of the other side.
    seed_variance: SeedVariance


@dataclass(frozen=True, kw_only=True)
class Comparison(Uncertainty):
    """The first model's score minus the second's, on the same questions."""

    n: int
    first: float  # score in [0, 1]; with several seeds their mean
    second: float
    difference: float
    interval: Interval | None  # 95 %; None with a single scene
    p: float  # two-sided: permutation test clustered by scene; with several seeds a t test
    mcnemar: float | None  # exact, assumes independent questions; None unless scores are 0 or 1
    first_seeds: SeedStatistics
    second_seeds: SeedStatistics


def compare_scores(
    first: Sequence[Tree],
    second: Sequence[Tree],
    seed: int = 0,
    resamples: int = 2000,
    fixed: Collection[Side] = (),
) -> Comparison:
    """Compare two models' scores on the same questions, over one or several seeds of training.

    With one seed each, interval and p take the trained models as given: they cover the choice of
    questions and scenes, not training seeds. With several seeds of a model both cover these too.

    Args:
        first: The first model's score at each seed, with the same items in the same order.
        second: The second model's score at each seed.
        seed: Seed of the resamples.
        resamples: Number of resamples.
        fixed: Sides whose only model does not depend on a training seed, such as a released one.

    Returns:
        The comparison.

    Raises:
        ValueError: A model has no seed, a fixed one has several, or the scores are made of
            different means.
    """
    error = difference_error(first, second, fixed)
    statistics = [summarise_seeds([tree.score for tree in side]) for side in (first, second)]
    difference = statistics[0].mean - statistics[1].mean
    interval, mcnemar = None, None
    if error.degrees_of_freedom is None:
        p = paired_permutation_test(first[0], second[0], seed=seed)
        mcnemar = _mcnemar(first[0], second[0])
        if error.scenes > 1:
            draws = resample_scores([first[0], second[0]], resamples, seed)
            interval = percentile_interval(draws[:, 0] - draws[:, 1], error.scenes)
    else:
        p = _p_over_seeds(difference, error.standard_error, error.degrees_of_freedom)
        if error.standard_error is not None:
            reach = float(stdtrit(error.degrees_of_freedom, 1 - LEVEL / 2)) * error.standard_error
            interval = Interval(difference - reach, difference + reach)
    return Comparison(
        **asdict(error),
        n=first[0].n,
        first=statistics[0].mean,
        second=statistics[1].mean,
        difference=difference,
        interval=interval,
        p=p,
        mcnemar=mcnemar,
        first_seeds=statistics[0],
        second_seeds=statistics[1],
    )


def difference_error(
    first: Sequence[Tree], second: Sequence[Tree], fixed: Collection[Side] = ()
) -> Uncertainty:
    """Estimate the error of the difference between two models' mean scores.

    The variance over scenes is that of the linearised score, averaged over seeds. The variance over
    seeds is their sample variance. A single seed shows no variance: it is taken to be that of the
    other side's k seeds, so that this side's variance counts 1 + 1 / k times. Interactions of seed
    and scene are in both parts, so that the error tends to be too large.

    The degrees of freedom are Satterthwaite's (1946) if both sides have several seeds. These are
    too many where one variance of few seeds decides. The t quantile is then the mean of the parts'
    quantiles, weighted by variance (Cochran and Cox 1950), and the degrees of freedom are its own.

    Args:
        first: The first model's score at each seed.
        second: The second model's score at each seed.
        fixed: As for `compare_scores`.

    Returns:
        The error.

    Raises:
        ValueError: As for `compare_scores`.
    """
    sides: dict[Side, Sequence[Tree]] = {"first": first, "second": second}
    statistics = {name: summarise_seeds([t.score for t in side]) for name, side in sides.items()}
    for name in fixed:
        if statistics[name].n > 1:
            raise ValueError(
                f"The {name} model is fixed, but has {statistics[name].n} seeds. Give one, or do"
                " not declare it fixed."
            )
    table = Table([*first, *second])
    influences = [np.mean([table.influence(t) for t in side], axis=0) for side in sides.values()]
    scenes = standard_error(influences[0] - influences[1])
    estimated = [s for s in statistics.values() if s.deviation is not None]
    is_pooled = len(estimated) == 1 and any(
        s.n == 1 for name, s in statistics.items() if name not in fixed
    )
    parts = [((scenes or 0) ** 2, len(table.order) - 1)]
    parts += [((s.deviation or 0) ** 2 * (1 / s.n + is_pooled), s.n - 1) for s in estimated]
    total = sum(variance for variance, _ in parts)
    freedom: float | None = None
    if estimated and (scenes is None or total == 0):
        freedom = 1.0
    elif estimated:
        freedom = total**2 / sum(v**2 / f for v, f in parts)
        if len(estimated) == 1:
            quantile = sum(v * stdtrit(f, 1 - LEVEL / 2) for v, f in parts) / total
            freedom = float(stdtridf(1 - LEVEL / 2, float(quantile)))
    return Uncertainty(
        scenes=len(table.order),
        changed_scenes=_changed_clusters(table, first, second),
        standard_error=None if scenes is None else float(np.sqrt(total)),
        degrees_of_freedom=freedom,
        seed_variance="pooled" if is_pooled else "estimated" if estimated else "not covered",
    )


def _changed_clusters(table: Table, first: Sequence[Tree], second: Sequence[Tree]) -> int:
    """Count the clusters in which sums of scores, averaged over seeds, or their counts differ."""
    if len({structure_of(tree) for tree in (*first, *second)}) > 1:
        raise ValueError("Cannot pair the scores: they are means of different groups.")
    columns = [[[table.column[leaf] for leaf in leaves_of(t)] for t in s] for s in (first, second)]
    parts = np.stack([table.sums, table.counts])
    means = [np.mean([parts[..., seed] for seed in side], axis=0) for side in columns]
    return int((np.abs(means[0] - means[1]) > 1e-9).any(axis=(0, 2)).sum())


def _p_over_seeds(difference: float, error: float | None, freedom: float) -> float:
    """Test the difference by a two-sided t test over seeds and scenes.

    A permutation of answers is conditional on the trained models: variance across seeds would look
    significant.

    Args:
        difference: Between the mean scores.
        error: Its standard error.
        freedom: Degrees of freedom of the error.

    Returns:
        The p-value.
    """
    if not error:
        return 1.0 if error is None or difference == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(difference) / error))


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
        and the level that the Holm correction starts from, LEVEL divided by their number. Where it
        is None, `minimum_detectable_difference_note` has the reason.
    """
    tests = correct_p_values([asdict(comparison) for comparison in comparisons])
    for test, comparison in zip(tests, comparisons, strict=True):
        size, note = detectable(comparison, LEVEL / len(tests))
        test["minimum_detectable_difference"] = size
        test["minimum_detectable_difference_note"] = note
    return tests


def detectable(error: Uncertainty, level: float = LEVEL) -> tuple[float | None, str | None]:
    """Return the minimum detectable difference at 80 % power, or None with the reason.

    The standard error is that of the answers that changed. Of two nearly identical models it is
    close to 0 and says nothing about models that differ.

    Args:
        error: Of the difference.
        level: Significance level.

    Returns:
        The difference, and None; or None, and why it is unknown.
    """
    if error.changed_scenes < MIN_CHANGED:
        return None, (
            f"scores differ in {error.changed_scenes} of {error.scenes} scenes, at least"
            f" {MIN_CHANGED} are needed"
        )
    return detectable_difference(error.standard_error, error.degrees_of_freedom, level), None


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
