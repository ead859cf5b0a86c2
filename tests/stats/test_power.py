import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.power import TTestPower

from spatialsv.stats.intervals import cluster_standard_error
from spatialsv.stats.means import Mean
from spatialsv.stats.paired import detectable_difference, paired_permutation_test


def test_it_is_2_8_standard_errors():
    values = np.random.default_rng(0).normal(size=50)
    error = values.std(ddof=1) / np.sqrt(50)
    assert_allclose(
        detectable_difference(cluster_standard_error(values, list(range(50)))),
        2.80159 * error,
        rtol=1e-5,
    )


def test_a_difference_of_that_size_is_found_about_as_often_as_promised():
    generator, found = np.random.default_rng(1), 0
    difference = 2.80159 / np.sqrt(40)  # for unit spread and 40 scenes
    for trial in range(200):
        values = generator.normal(difference, 1.0, size=40)
        scenes = tuple(range(40))
        pair = Mean(tuple(values.tolist()), scenes), Mean((0.0,) * 40, scenes)
        found += paired_permutation_test(*pair, resamples=400, seed=trial) < 0.05
    assert 0.7 < found / 200 < 0.9


def test_a_stricter_level_asks_for_more():
    assert detectable_difference(1.0, level=0.01) == pytest.approx(2.57583 + 0.84162, rel=1e-5)
    assert detectable_difference(None) is None  # a single scene


@pytest.mark.parametrize("count", [2, 3, 5, 40])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_an_error_known_less_well_asks_for_more_as_statsmodels_says(count, level):
    # A one-sided test, as the other tail adds nothing at 80 % power.
    peer = TTestPower().solve_power(nobs=count, alpha=level / 2, power=0.8, alternative="larger")
    mine = detectable_difference(1.0, count - 1.0, level)
    assert mine == pytest.approx(peer * np.sqrt(count), rel=1e-4)
