"""Trends against statsmodels, and by simulation: what controls take out, and what they leave."""

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from spatialsv.stats.trend import descending_ranks, dummy_variables, equal_bins, fit_trend

SCENES, EACH, RUNS = 80, 8, 150


def simulate(rng, effect=0.0, confounded=True):
    """Scores of ours and of another model, of scenes whose difficulty both suffer alike.

    Quality follows difficulty where `confounded`; `effect` is what quality itself brings.
    """
    hard = rng.normal(size=SCENES)
    quality = rng.normal(size=SCENES) - (2 * hard if confounded else 0)
    names = np.repeat(np.arange(SCENES), EACH)
    tasks = rng.choice(["a", "b"], size=len(names))
    chance = 0.55 - 0.12 * hard[names] - 0.1 * (tasks == "a")
    ours = rng.uniform(size=len(names)) < np.clip(chance + effect * quality[names], 0, 1)
    other = rng.uniform(size=len(names)) < np.clip(chance, 0, 1)
    scenes = [f"s{name}" for name in names]
    return ours * 1.0, other * 1.0, quality[names], scenes, tasks.tolist(), hard[names]


def found(kind, runs=RUNS, **kwargs):
    """How often the trend is significant at 5 %."""
    rng, hits = np.random.default_rng(7), 0
    for seed in range(runs):
        ours, other, quality, scenes, tasks, hard = simulate(rng, **kwargs)
        scores, controls = ours, None
        if kind == "known":  # the scene tells how hard it is
            controls = np.column_stack([dummy_variables(tasks), hard])
        elif kind == "difference":
            scores, controls = ours - other, dummy_variables(tasks)
        result = fit_trend(scores, quality, scenes, controls, resamples=400, seed=seed)
        hits += result.p < 0.05
    return hits / runs


def test_difficulty_makes_a_raw_trend_and_controls_take_it_out():
    assert found("raw") > 0.95
    # three standard deviations of a binomial about 5 %
    assert found("known") < 0.11
    assert found("difference") < 0.11


def test_a_noisy_control_leaves_most_of_the_trend():
    """Another model's answers, to the question and to the scene's other ones: which is why the
    difference is told beside it."""
    rng, left = np.random.default_rng(7), []
    for _ in range(30):
        ours, other, quality, scenes, tasks, _ = simulate(rng)
        sums = other.reshape(SCENES, EACH).sum(axis=1).repeat(EACH)
        known = np.column_stack([dummy_variables(tasks), other, (sums - other) / (EACH - 1)])
        slopes = [fit_trend(ours, quality, scenes, c, 10).slope for c in (None, known)]
        left.append(slopes[1] / slopes[0])
    assert 0.8 < np.mean(left) < 0.98


def test_a_true_effect_is_found_under_every_control():
    for kind in ("raw", "known", "difference"):
        assert found(kind, 60, effect=0.12, confounded=False) > 0.9


def test_without_effect_or_confounding_the_level_is_kept():
    assert found("raw", confounded=False) < 0.11


def test_the_slope_is_that_of_statsmodels_and_the_interval_comes_near_its_own():
    ours, other, quality, scenes, tasks, hard = simulate(np.random.default_rng(0), effect=0.05)
    keep = np.random.default_rng(1).uniform(size=len(ours)) < 0.7  # scenes of unequal size
    names = [scene for scene, kept in zip(scenes, keep, strict=True) if kept]
    controls = np.column_stack([dummy_variables(tasks), other, hard])[keep]
    mine = fit_trend(ours[keep], quality[keep], names, controls)
    design = sm.add_constant(np.column_stack([quality[keep], controls]))
    groups = np.unique(names, return_inverse=True)[1]
    fit = sm.OLS(ours[keep], design).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert mine.slope == pytest.approx(fit.params[1], rel=1e-9)
    np.testing.assert_allclose(mine.interval, fit.conf_int()[1], atol=0.1 * fit.bse[1] * 2 * 1.99)
    assert mine.p == pytest.approx(fit.pvalues[1], abs=0.03)


def few(seed: int, scenes: int = 8):
    """A few scenes of unequal size, with two controls."""
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(scenes), rng.integers(1, 5, scenes))
    x, level = rng.normal(size=(2, scenes))
    controls = np.column_stack([rng.integers(0, 2, len(names)), rng.normal(size=len(names))])
    return level[names] + rng.normal(size=len(names)), x[names], names, controls


def reference_p(scores, against, names, controls, slope):
    """The standardised sign-flip test of a slope, from its definition: one matrix per flip."""
    known = np.column_stack([np.ones(len(scores)), controls])
    project = np.eye(len(scores)) - known @ np.linalg.pinv(known)
    extreme = []
    for signs in product((1, -1), repeat=names.max() + 1):
        flip = project @ np.diag(np.array(signs)[names]) @ project @ against
        total = flip @ (scores - slope * against) / np.linalg.norm(flip)
        extreme.append(abs(total))
    return np.mean(np.array(extreme) >= extreme[0] - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_at_few_rows_the_test_is_that_of_its_definition_and_the_interval_its_inverse(seed):
    """No large-sample formula holds here: degrees of freedom matter most."""
    scores, against, names, controls = few(seed)
    mine = fit_trend(scores, against, names.tolist(), controls)
    for slope in (0.0, 0.4):
        shifted = fit_trend(scores - slope * against, against, names.tolist(), controls)
        assert shifted.p == reference_p(scores, against, names, controls, slope)
    width = mine.interval.high - mine.interval.low
    for end, outwards in zip(mine.interval, (-1, 1), strict=True):
        near = [end + side * outwards * 1e-6 * width for side in (-1, 1)]
        inside, outside = (reference_p(scores, against, names, controls, b) for b in near)
        assert inside >= 0.05 > outside


@pytest.mark.parametrize("seed", range(6))
def test_ties_between_flips_count_as_extreme(seed):
    """Answers are 0 or 1, and so is the variable: many flips give the same sum."""
    scores, against, names, _ = few(seed)
    scores, against = 1.0 * (scores > 0), 1.0 * (against > 0)
    none = np.zeros((len(names), 0))
    mine = fit_trend(scores, against, names.tolist())
    assert mine.p == reference_p(scores, against, names, none, 0.0)


def test_controls_that_depend_on_each_other_count_once():
    scores, against, names, controls = few(0)
    redundant = np.column_stack([controls, controls.sum(axis=1), np.ones(len(names))])
    once, twice = (fit_trend(scores, against, names.tolist(), c) for c in (controls, redundant))
    assert (once.slope, once.p) == pytest.approx((twice.slope, twice.p))
    assert once.interval == pytest.approx(twice.interval)


@pytest.mark.parametrize("resamples", [100, 20_000])
def test_p_is_below_the_level_exactly_where_the_interval_excludes_zero(resamples):
    significant = 0
    for seed in range(150):
        scores, against, names, controls = few(seed, 6 + seed % 7)
        trend = fit_trend(
            scores + (-1) ** seed * 0.7 * against,
            against,
            names.tolist(),
            controls,
            resamples,
            seed,
        )
        excludes = trend.interval is not None and not trend.interval.low <= 0 <= trend.interval.high
        assert (trend.p < 0.05) == excludes, seed
        significant += excludes
    assert 20 < significant < 130


@pytest.mark.parametrize("scenes", [3, 5, 6])
def test_fewer_than_six_scenes_have_no_bounded_interval(scenes):
    x = np.arange(scenes) ** 1.5
    trend = fit_trend(x + 0.01 * x[::-1] ** 2, x, range(scenes))
    assert trend.p == 2 / 2**scenes
    assert (trend.interval is None) == (scenes < 6)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["between", "within", "controls"])
@pytest.mark.parametrize("scenes", [8, 16, 30])
def test_few_uneven_scenes_keep_level_and_coverage(kind, scenes):
    """Scenes of 1 to 60 questions whose answers agree: with controls, at eight of them, the
    sandwich estimator with t of seven degrees of freedom covers 73 %."""
    runs, rng, covered = 1500, np.random.default_rng(scenes), 0
    for seed in range(runs):
        sizes = np.clip(4 * rng.pareto(1, scenes), 1, 60).astype(int)
        names = np.repeat(np.arange(scenes), sizes)
        x = rng.permutation(scenes)[names] / (scenes - 1.0)
        if kind == "within":
            x = 1.0 * (rng.random(len(names)) < 0.8)
        controls = None
        if kind == "controls":
            tasks = dummy_variables(rng.integers(0, 4, len(names)).astype(str).tolist())
            controls = np.column_stack([tasks, rng.normal(size=(2, scenes)).T[names]])
        chance = 0.4 + 0.2 * x + rng.normal(0, 0.15, scenes)[names]
        scores = 1.0 * (rng.random(len(names)) < np.clip(chance, 0.02, 0.98))
        trend = fit_trend(scores, x, names.tolist(), controls, 500, seed)
        low, high = (trend and trend.interval) or (-np.inf, np.inf)
        covered += low <= 0.2 <= high
    print(f"{kind}, {scenes} scenes: {1 - covered / runs:.3f} missed")
    assert covered / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs), covered / runs


def test_what_the_controls_say_already_has_no_trend():
    ours, _, quality, scenes, _, _ = simulate(np.random.default_rng(0))
    assert fit_trend(ours, quality, scenes, quality[:, None]) is None
    assert fit_trend(ours, np.ones_like(quality), scenes) is None
    assert fit_trend(ours[:8], np.arange(8.0), list("aaaabbbb")) is None  # two scenes


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30))
def test_ranks_and_bins_follow_the_values(values):
    named = {f"s{i}": value for i, value in enumerate(values)}
    rank, bins = descending_ranks(named), equal_bins(named)
    assert all(0 <= r <= 1 for r in rank.values())
    assert sorted(name for each in bins for name in each) == sorted(named)
    assert max(map(len, bins)) - min(map(len, bins)) <= 1
    for a in named:
        for b in named:
            assert (named[a] < named[b]) == (rank[a] > rank[b])
    flat = [named[name] for each in bins for name in each]
    assert flat == sorted(flat, reverse=True)


def test_dummies_leave_the_first_name_out():
    assert dummy_variables(["x", "y", "x", "z"]).tolist() == [[0, 0], [1, 0], [0, 0], [0, 1]]
    assert dummy_variables(["x", "x"]).shape == (2, 0)
