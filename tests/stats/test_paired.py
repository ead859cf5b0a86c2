from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import permutation_test

from spatialsv.stats.means import Mean, MeanOfMeans
from spatialsv.stats.paired import holm, mcnemar_exact, paired_permutation_test

rng = np.random.default_rng(0)


def sign_flip(differences, clusters, resamples=20_000, seed=0):
    """Of means alone, to swap a cluster's answers is to flip the sign of its differences."""
    zeros = Mean((0.0,) * len(differences), tuple(clusters))
    return paired_permutation_test(
        Mean(tuple(differences), tuple(clusters)), zeros, resamples, seed
    )


def test_mcnemar_without_discordant_pairs_shows_nothing():
    answers = np.array([True, False, True])
    assert mcnemar_exact(answers, answers) == 1.0


def test_exact_sign_flip_agrees_with_scipy():
    differences = rng.normal(0.5, 1.0, size=10)

    def mean(values, axis):
        return values.mean(axis=axis)

    expected = permutation_test(
        (differences,), mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert_allclose(sign_flip(differences, list(range(10))), expected)


def test_random_sign_flip_comes_near_the_exact_one():
    differences = rng.normal(0.4, 1.0, size=14)
    exact = sign_flip(differences, list(range(14)), resamples=2**14)
    assert_allclose(sign_flip(differences, list(range(14)), resamples=10_000), exact, atol=0.015)


def test_sign_flip_knows_ties_in_spite_of_rounding():
    differences = np.array([0.1, 0.2, -0.3] * 2)  # sums to 5.6e-17
    assert sign_flip(differences, list(range(6))) == 1.0


def test_sign_flip_treats_a_scene_as_one_vote():
    differences = np.ones(40)
    assert sign_flip(differences, list(range(40))) < 1e-4
    assert sign_flip(differences, [i // 20 for i in range(40)]) == 0.5  # two scenes: ++ or -- of 4


def test_sign_flip_holds_its_level_under_the_null():
    generator = np.random.default_rng(5)
    p = [
        sign_flip(generator.choice([-1.0, 0.0, 1.0], size=60), [i // 3 for i in range(60)], 500, i)
        for i in range(400)
    ]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.08


def test_equal_models_have_p_one():
    assert sign_flip(np.zeros(5), list("abcde")) == 1.0


def test_holm_known_values():
    assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert_allclose(holm([0.6, 0.9]), [1.0, 1.0])
    assert holm([]) == []


def test_holm_keeps_order_and_lies_between_raw_and_bonferroni():
    p = rng.uniform(size=8)
    adjusted = np.array(holm(list(p)))
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, 8 * p)).all()


def test_permutation_takes_both_scores_again_after_every_swap():
    first = MeanOfMeans((Mean((1.0, 0.0, 1.0), tuple("aab")), Mean((1.0,), ("c",))))
    second = MeanOfMeans((Mean((0.0, 0.0, 0.0), tuple("aab")), Mean((0.0,), ("c",))))
    # Swapping a, b, c takes 1/3, 1/3 and 1 off twice the difference, (2/3 + 1) / 2.
    differences = [abs(a / 3 + b / 3 + c) / 2 for a, b, c in product((-1, 1), repeat=3)]
    expected = np.mean(np.array(differences) >= (2 / 3 + 1) / 2 - 1e-9)
    assert paired_permutation_test(first, second) == expected == 0.25


def test_permutation_swaps_how_many_count_as_well():
    """A scorer may leave replies out: the numbers of answers then go with the answers."""
    first, second = Mean((1.0, 1.0), ("a", "b")), Mean((0.0, 0.0, 1.0), ("a", "b", "b"))
    swapped_b = (1 + 0 + 1) / 3 - (0 + 1) / 2
    assert abs(swapped_b) < 1 - 1 / 3
    assert paired_permutation_test(first, second) == 0.5  # as they are, and both swapped


def test_scores_of_other_make_cannot_be_paired():
    with pytest.raises(ValueError, match="means of different groups"):
        paired_permutation_test(Mean((1.0,), ("a",)), MeanOfMeans((Mean((1.0,), ("a",)),)))


def test_random_permutations_count_the_observed_one():
    """No random swap of 40 clusters is as extreme: p = (0 + 1) / (99 + 1)."""
    names = tuple(range(40))
    better, worse = Mean((1.0,) * 40, names), Mean((0.0,) * 40, names)
    assert paired_permutation_test(better, worse, resamples=99) == 1 / 100
