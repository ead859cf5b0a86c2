import pytest

from spatialsv.stats.seeds import SeedStatistics, summarise_metrics, summarise_seeds


def test_mean_and_sample_deviation():
    spread = summarise_seeds([1.0, 3.0])
    assert (spread.mean, spread.n) == (2.0, 2)
    assert spread.deviation == pytest.approx(2**0.5)


def test_one_seed_shows_no_spread():
    assert summarise_seeds([0.25]) == SeedStatistics(0.25, None, 1)


def test_no_seed_is_an_error():
    with pytest.raises(ValueError, match="over 0 seeds"):
        summarise_seeds([])


def test_each_metric_counts_the_runs_that_have_it():
    found = summarise_metrics([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": None}])
    assert (found["a"].n, found["a"].mean) == (2, 2.0)
    assert (found["b"].n, found["b"].mean) == (1, 2.0)
