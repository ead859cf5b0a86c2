"""Comparisons at their edges: one scene, no variance, and the level of significance."""

import numpy as np
import pytest

from spatialsv.stats.comparison import LEVEL, compare_scores, correct_p_values
from spatialsv.stats.means import Mean, MeanOfMeans
from spatialsv.stats.paired import mcnemar_exact


def mean(*scores: float, scenes: str = "abcd") -> Mean:
    return Mean(scores, tuple(scenes[: len(scores)]))


def test_without_variance_equal_scores_have_p_one_and_others_zero():
    same = [mean(1.0, 0.0), mean(1.0, 0.0)]
    found = compare_scores(same, same)
    assert (found.p, found.standard_error, found.degrees_of_freedom) == (1.0, 0.0, 1.0)
    lower = [mean(0.5, -0.5)] * 2
    found = compare_scores(same, lower)
    assert (found.p, found.difference, found.standard_error) == (0.0, 0.5, 0.0)


def test_a_single_scene_has_no_error_and_no_interval():
    found = compare_scores([mean(1.0), mean(0.0)], [mean(0.0)])
    assert (found.p, found.standard_error, found.interval) == (1.0, None, None)
    assert found.degrees_of_freedom == 1.0


def test_mcnemar_is_of_right_and_wrong_answers_at_one_seed_each():
    first, second = mean(1.0, 1.0, 1.0, 0.0), mean(0.0, 0.0, 1.0, 0.0)
    exact = mcnemar_exact(*(np.array(side.scores, dtype=bool) for side in (first, second)))
    assert compare_scores([first], [second]).mcnemar == exact
    assert compare_scores([mean(0.5, 1.0)], [mean(0.0, 1.0)]).mcnemar is None  # fractions
    assert compare_scores([first, first], [second]).mcnemar is None
    joined = [MeanOfMeans((side,)) for side in (first, second)]
    assert compare_scores([joined[0]], [joined[1]]).mcnemar is None


def test_significance_is_at_five_per_cent_of_corrected_values():
    assert LEVEL == 0.05
    tests = correct_p_values([{"p": 0.02}, {"p": 0.03}, {"p": 0.6}])
    assert [test["p_holm"] for test in tests] == pytest.approx([0.06, 0.06, 0.6])
    assert not any(test["significant"] for test in tests)
    (alone,) = correct_p_values([{"p": 0.049}])
    assert alone["significant"] and not correct_p_values([{"p": LEVEL}])[0]["significant"]
