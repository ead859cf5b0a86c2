"""Held against SciPy and statsmodels, which compute the same by other code."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.intervals import cluster_bootstrap, cluster_standard_error, wilson_interval
from spatialsv.stats.means import Mean
from spatialsv.stats.paired import holm, mcnemar_exact


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
