"""Trends against statsmodels, and by simulation: what controls take out, and what they leave."""

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


def test_slope_and_interval_are_those_of_statsmodels():
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
    np.testing.assert_allclose(mine.interval, fit.conf_int()[1], rtol=1e-9)
    assert mine.p == pytest.approx(fit.pvalues[1], abs=0.03)


def test_what_the_controls_say_already_has_no_trend():
    ours, _, quality, scenes, _, _ = simulate(np.random.default_rng(0))
    assert fit_trend(ours, quality, scenes, quality[:, None]) is None
    assert fit_trend(ours, np.ones_like(quality), scenes) is None
    assert fit_trend(ours[:2], quality[:2], ["a", "b"]) is None


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
