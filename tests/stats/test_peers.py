"""Held against SciPy and statsmodels, which compute the same by other code."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa, to_table
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from spatialsv.stats.agreement import cohen_kappa, spearman
from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.intervals import (
    cluster_bootstrap,
    cluster_standard_error,
    intervals,
    wilson_interval,
)
from spatialsv.stats.means import Mean, MeanOfMeans, Table, standard_error
from spatialsv.stats.paired import holm, mcnemar_exact, paired_permutation_test


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 10), (50, 100), (12, 12), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson(successes, trials, level):
    found = wilson_interval(successes, trials, level)
    scipy = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert_allclose(found, (scipy.low, scipy.high), atol=1e-12)
    assert_allclose(found, proportion_confint(successes, trials, 1 - level, "wilson"), atol=1e-12)
    assert 0 <= found.low <= successes / trials <= found.high <= 1


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar(seed):
    first, second = np.random.default_rng(seed).integers(0, 2, size=(2, 40)).astype(bool)
    table = [[(a & b).sum() for b in (second, ~second)] for a in (first, ~first)]
    assert_allclose(mcnemar_exact(first, second), mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_holm(seed):
    p = np.random.default_rng(seed).uniform(size=9) ** 3
    p[3] = p[5]  # a tie
    assert_allclose(holm(p.tolist()), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("seed", range(3))
def test_the_clustered_error_is_that_of_a_regression_on_a_constant(seed):
    rng = np.random.default_rng(seed)
    scenes = np.sort(rng.integers(0, 25, size=120))
    values = rng.normal(size=25)[scenes] + rng.normal(size=120)
    fit = sm.OLS(values, np.ones(120)).fit(cov_type="cluster", cov_kwds={"groups": scenes})
    assert_allclose(cluster_standard_error(values, scenes.tolist()), fit.bse[0], rtol=1e-10)


def test_the_bootstrap_is_scipy_s_at_the_level_that_few_clusters_ask_for():
    values = np.random.default_rng(1).lognormal(size=40)
    level = 1 - 2 * stats.norm.cdf(np.sqrt(40 / 39) * stats.t(39).ppf(0.025))
    assert level > 0.955
    peer = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    found = cluster_bootstrap(values, list(range(40)), resamples=20_000)
    assert_allclose(found, peer, rtol=0.015)


def test_over_seeds_p_is_welch_s_where_scenes_add_nothing():
    """Answers that do not differ between scenes leave the seeds alone to vary."""
    seeds = [[0.50, 0.56, 0.61], [0.40, 0.52]]
    scenes = tuple(range(10))
    sides = [[Mean((score,) * 10, scenes) for score in side] for side in seeds]
    welch = stats.ttest_ind(*seeds, equal_var=False)
    assert compare_scores(*sides).p == pytest.approx(welch.pvalue)


def clustered(seed: int, clusters: int = 30) -> list[Mean]:
    """Two tasks about the same clusters, of unequal size."""
    rng = np.random.default_rng(seed)
    names = [np.repeat(np.arange(clusters), rng.integers(1, 9, clusters)) for _ in range(2)]
    level = rng.normal(0.5, 0.3, clusters)
    return [Mean(tuple(level[own] + rng.normal(0, 0.2, len(own))), tuple(own)) for own in names]


def by_cluster(tasks: list[Mean], clusters: int = 30) -> np.ndarray:
    """Sum and count of each task's scores, a row a cluster."""
    columns = []
    for task in tasks:
        columns += [np.bincount(task.clusters, task.scores, clusters)]
        columns += [np.bincount(task.clusters, minlength=clusters)]
    return np.stack(columns, axis=-1)


def macro(rows: np.ndarray) -> float:
    sums = rows.sum(axis=0)
    return float(np.mean(sums[0::2] / sums[1::2]))


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_of_a_mean_of_tasks_is_scipy_s_over_clusters(seed):
    tasks = clustered(seed)
    rows = by_cluster(tasks)
    level = 1 - 2 * stats.norm.cdf(np.sqrt(30 / 29) * stats.t(29).ppf(0.025))
    peer = stats.bootstrap(
        (np.arange(30),),
        lambda drawn: macro(rows[drawn]),
        confidence_level=level,
        n_resamples=10_000,
        method="percentile",
        vectorized=False,
        rng=0,
    ).confidence_interval
    (found,) = intervals([MeanOfMeans(tuple(tasks))], resamples=10_000)
    assert_allclose(found, peer, atol=0.04 * (peer.high - peer.low))


@pytest.mark.parametrize("seed", range(3))
def test_the_standard_error_of_a_mean_of_tasks_comes_near_the_jackknife(seed):
    tasks = clustered(seed)
    rows, tree = by_cluster(tasks), MeanOfMeans(tuple(tasks))
    left_out = np.array([macro(np.delete(rows, i, axis=0)) for i in range(30)])
    jackknife = np.sqrt(29 / 30 * ((left_out - left_out.mean()) ** 2).sum())
    assert standard_error(Table([tree]).influence(tree)) == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_the_permutation_of_clusters_is_scipy_s(seed):
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(10), rng.integers(1, 9, 10))
    first, second = rng.integers(0, 2, size=(2, len(names))).astype(float)
    first[: len(names) // 2] = 1.0
    totals = np.bincount(names, first - second, 10)
    peer = stats.permutation_test(
        (totals,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    pair = [Mean(tuple(side.tolist()), tuple(names.tolist())) for side in (first, second)]
    assert paired_permutation_test(*pair) == pytest.approx(peer.pvalue)


@pytest.mark.parametrize("seed", range(3))
def test_kappa_and_its_error(seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 600)
    second = np.where(rng.random(600) < 0.4, first, rng.integers(0, 4, 600))
    peer = cohens_kappa(to_table(np.stack([first, second], axis=1))[0])
    mine = cohen_kappa(first.tolist(), second.tolist(), ["all"] * 600, range(600), 4000)
    assert mine.kappa == pytest.approx(peer.kappa)
    width = mine.interval.high - mine.interval.low
    assert width == pytest.approx(peer.kappa_upp - peer.kappa_low, rel=0.06)


@pytest.mark.parametrize("n", [5, 7])
def test_spearman_s_permutation_is_scipy_s(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n)).round(1)
    peer = stats.permutation_test(
        (x,),
        lambda order: stats.spearmanr(order, y).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert spearman(x, y).p == pytest.approx(peer.pvalue)


def test_spearman_s_interval_is_scipy_s_at_the_level_that_few_points_ask_for():
    rng = np.random.default_rng(0)
    x = rng.normal(size=25)
    y = x + rng.normal(size=25)
    level = 1 - 2 * stats.norm.cdf(np.sqrt(25 / 24) * stats.t(24).ppf(0.025))
    peer = stats.bootstrap(
        (x, y),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        confidence_level=level,
        n_resamples=4000,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert_allclose(spearman(x, y, 4000).interval, peer, atol=0.05)
