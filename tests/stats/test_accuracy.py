import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.stats.accuracy import best_constant

TOLERANCES = np.arange(10, 0, -1) / 20  # VSI-Bench's


@pytest.mark.parametrize("seed", range(6))
def test_best_constant_beats_a_fine_grid(seed):
    truths = np.random.default_rng(seed).lognormal(1.0, 0.7, size=25).round(1)

    def mean_score(constant):
        error = np.abs(constant - truths) / truths
        return (error[:, None] <= TOLERANCES + 1e-11).mean()

    grid = np.linspace(truths.min() / 2, truths.max() * 1.5, 20_000)
    # six digits are what a reply carries
    found = mean_score(float(f"{best_constant(truths, TOLERANCES):.6g}"))
    assert found >= max(mean_score(constant) for constant in grid) - 1e-12


def test_best_constant_of_equal_answers_scores_one():
    assert_allclose(best_constant(np.array([3.0, 3.0]), TOLERANCES), 3.0)
    assert abs(best_constant(np.zeros(3), TOLERANCES)) <= 0.05
