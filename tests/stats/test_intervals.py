import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.stats.intervals import (
    cluster_bootstrap,
    cluster_standard_error,
    percentile_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_what_is_no_proportion(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes of {trials} trials"):
        wilson_interval(successes, trials)


def test_bootstrap_matches_the_normal_interval_of_many_independent_values():
    values = np.random.default_rng(0).normal(0.4, 1.0, size=4000)
    low, high = cluster_bootstrap(values, list(range(4000)), resamples=4000)
    error = values.std(ddof=1) / np.sqrt(4000)
    assert_allclose((low, high), values.mean() + np.array([-1.96, 1.96]) * error, atol=3e-3)


def test_bootstrap_is_wider_when_answers_of_a_scene_agree():
    scene = np.repeat(np.arange(50), 20)
    values = np.random.default_rng(1).integers(0, 2, size=50).astype(float)[scene]
    by_scene = cluster_bootstrap(values, list(scene))
    by_question = cluster_bootstrap(values, list(range(1000)))
    widths = [interval.high - interval.low for interval in (by_scene, by_question)]
    assert 3.5 < widths[0] / widths[1] < 5.5  # sqrt(20) = 4.5


def test_bootstrap_repeats_with_its_seed_and_is_silent_on_one_cluster():
    values, scenes = np.array([0.0, 1.0, 1.0, 0.5]), ["a", "a", "b", "c"]
    assert cluster_bootstrap(values, scenes, seed=3) == cluster_bootstrap(values, scenes, seed=3)
    assert cluster_bootstrap(values, ["a"] * 4) is None
    assert cluster_standard_error(values, ["a"] * 4) is None


def test_standard_error_is_the_textbook_one_for_single_value_clusters():
    values = np.random.default_rng(2).normal(size=30)
    expected = values.std(ddof=1) / np.sqrt(30)
    assert_allclose(cluster_standard_error(values, list(range(30))), expected)


def test_standard_error_counts_repeated_values_once():
    values = np.random.default_rng(2).normal(size=30)
    once = cluster_standard_error(values, list(range(30)))
    assert_allclose(
        cluster_standard_error(np.repeat(values, 4), list(np.repeat(range(30), 4))), once
    )


def test_values_and_clusters_must_pair_up():
    with pytest.raises(ValueError, match="2 values and 1 cluster"):
        cluster_bootstrap(np.array([0.0, 1.0]), ["a"])
    with pytest.raises(ValueError, match="average 0 values"):
        cluster_bootstrap(np.array([]), [])


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_answers_that_are_all_alike_are_no_certainty(score):
    scenes = [i // 5 for i in range(40)]
    assert cluster_bootstrap(np.full(40, score), scenes) == wilson_interval(8 * int(score), 8)


@pytest.mark.parametrize(("clusters", "tail"), [(20, 0.016), (np.inf, 0.025)])
def test_percentiles_are_moved_out_where_clusters_are_few(clusters, tail):
    """Hesterberg (2015), section 5.2: for 20 clusters 1.6 and 98.4 % in place of 2.5 and 97.5."""
    low, high = percentile_interval(np.linspace(0, 1, 100_001), clusters)
    assert (low, 1 - high) == pytest.approx((tail, tail), abs=5e-4)
