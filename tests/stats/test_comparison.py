"""Comparisons at their edges: one scene, no variance, and the level of significance."""

import numpy as np
import pytest
from scipy import stats

from spatialsv.stats.comparison import (
    LEVEL,
    compare_jointly,
    compare_scores,
    correct_p_values,
    detectable,
    difference_error,
)
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


def constant(score: float, scenes: int = 10) -> Mean:
    return Mean((score,) * scenes, tuple(range(scenes)))


SEEDS = (0.50, 0.56, 0.61)


def test_one_seed_against_several_has_the_variance_of_the_others_pooled():
    """Where scenes add nothing it is Student's t test with pooled variance, at one seed too."""
    sides = [[constant(0.4)], [*map(constant, SEEDS)]]
    student = stats.ttest_ind([0.4], SEEDS, equal_var=True)
    for one, other, sign in ((*sides, 1), (*sides[::-1], -1)):
        found = compare_scores(one, other)
        assert found.seed_variance == "pooled"
        assert found.degrees_of_freedom == pytest.approx(2.0)
        assert found.p == pytest.approx(student.pvalue)
        interval = student.confidence_interval(0.95)
        assert found.interval == pytest.approx(sorted((sign * interval.low, sign * interval.high)))


@pytest.mark.parametrize("fixed", [(), ("first",)])
def test_with_seeds_of_one_side_the_quantile_is_the_mean_of_the_parts(fixed):
    """Cochran and Cox (1950): each variance is given the t of its own degrees of freedom."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.1, (4, 12)) + rng.normal(0, 0.1, (4, 1))
    one, *several = [Mean(tuple(row), tuple(range(12))) for row in scores]
    found = compare_scores([one], several, fixed=fixed)
    means = scores.mean(axis=1)
    pairs = (scores[0] - scores[1:].mean(axis=0)).var(ddof=1) / 12
    seeds = means[1:].var(ddof=1) * (1 / 3 if fixed else 4 / 3)
    quantiles = stats.t([11, 2]).ppf(0.975)
    error = np.sqrt(pairs + seeds)
    reach = (pairs * quantiles[0] + seeds * quantiles[1]) / error
    difference = means[0] - means[1:].mean()
    assert found.interval == pytest.approx((difference - reach, difference + reach))
    assert found.standard_error == pytest.approx(error)
    assert 2 < found.degrees_of_freedom < 11


def test_a_fixed_model_has_no_variance_across_seeds():
    sides = [constant(0.4)], [*map(constant, SEEDS)]
    found = compare_scores(*sides, fixed=["first"])
    assert found.seed_variance == "estimated"
    assert found.p == pytest.approx(stats.ttest_1samp(SEEDS, 0.4).pvalue)
    with pytest.raises(ValueError, match="The second model is fixed, but has 3 seeds"):
        compare_scores(*sides, fixed=["second"])


@pytest.mark.parametrize("fixed", [(), ("first",), ("first", "second")])
def test_one_seed_each_does_not_cover_training_seeds(fixed):
    found = compare_scores([constant(0.4)], [constant(0.5)], fixed=fixed)
    assert (found.seed_variance, found.degrees_of_freedom) == ("not covered", None)


@pytest.mark.parametrize("counts", [(1, 3), (2, 2), (3, 5)])
def test_over_seeds_p_is_below_the_level_exactly_where_the_interval_excludes_zero(counts):
    rng, significant = np.random.default_rng(0), 0
    for _ in range(100):
        effect = rng.normal(0, 0.5)
        first, second = (
            [Mean(tuple(rng.normal(shift, 0.3, 12)), tuple(range(12))) for _ in range(count)]
            for count, shift in zip(counts, (effect, 0), strict=True)
        )
        found = compare_scores(first, second)
        excludes = not found.interval.low <= 0 <= found.interval.high
        assert (found.p < 0.05) == excludes
        significant += excludes
    assert 5 < significant < 95


def test_models_that_hardly_differ_have_no_detectable_difference():
    """82 questions, as after two steps of training: one answer or nine say nothing of power."""
    scenes = tuple(i // 2 for i in range(82))
    right = [1.0, 0.0] * 41
    for changed in (0, 1, 9, 10):
        other = list(right)
        other[: 2 * changed : 2] = [0.0] * changed
        pair = [Mean(tuple(side), scenes) for side in (right, other)]
        (row,) = compare_jointly([compare_scores(*([tree] for tree in pair))])
        size, note = (row[f"minimum_detectable_difference{end}"] for end in ("", "_note"))
        assert row["changed_scenes"] == changed
        if changed < 10:
            assert size is None
            assert note == f"scores differ in {changed} of 41 scenes, at least 10 are needed"
        else:
            assert note is None and size > 10 / 82 / 2
            pair = [compare_scores([pair[0]], [pair[1]])] * 2
            factor = (2.24140 + 0.84162) / 2.80159  # Holm starts at half of the level
            found = compare_jointly(pair)[0]["minimum_detectable_difference"]
            assert found == pytest.approx(factor * size, rel=1e-5)


def test_what_changes_is_counted_over_seeds_and_by_scene():
    names = tuple("aabbcc")
    first = [
        Mean((1.0, 0.0, 1.0, 1.0, 0.0, 0.0), names),
        Mean((0.0, 1.0, 1.0, 1.0, 0.0, 0.0), names),
    ]
    second = [Mean((0.0, 1.0, 1.0, 0.0, 0.0, 0.0), names)] * 2
    assert difference_error(first, second).changed_scenes == 1  # the sums of scene a agree
    assert detectable(difference_error(first, second))[0] is None
