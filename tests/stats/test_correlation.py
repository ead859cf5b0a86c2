"""Spearman's correlation against SciPy, and what few points cannot show."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from spatialsv.stats.agreement import spearman


@pytest.mark.parametrize("n", [5, 30])
def test_rho_and_p_are_those_of_scipy(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    y = (x + rng.normal(size=n)).round(1)  # with ties
    mine, peer = spearman(x, y), spearmanr(x, y)
    assert mine.rho == pytest.approx(peer.statistic, abs=1e-12)
    if n == 30:  # SciPy's p is asymptotic
        assert mine.p == pytest.approx(peer.pvalue, abs=0.01)
    assert mine.interval.low <= mine.rho <= mine.interval.high


def test_points_in_order_give_the_least_p_of_so_few():
    x = np.arange(5.0)
    found = spearman(x, -(x**3))
    assert found.rho == pytest.approx(-1) and found.n == 5
    assert found.p == found.least_p == pytest.approx(2 / 120)


def test_too_few_points_and_constants_have_no_correlation():
    assert spearman(np.arange(3.0), np.arange(3.0)) is None
    assert spearman(np.ones(6), np.arange(6.0)) is None


def test_the_test_keeps_its_level():
    rng = np.random.default_rng(0)
    draws = [spearman(rng.normal(size=6), rng.normal(size=6), 100).p for _ in range(200)]
    assert np.mean(np.array(draws) < 0.05) < 0.1


def test_points_whose_resamples_are_mostly_constant_have_no_interval():
    """With one outlier on each side, 59 % of the resamples of ten points lack one of the two."""
    x, y = np.eye(10)[:2]
    assert spearman(x, y).interval is None
    assert spearman(x, x).interval is not None  # 35 % lack it
