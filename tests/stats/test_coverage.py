"""By simulation: intervals hold the truth as often as they say, and tests err no oftener.

Answers are right with a chance that varies from scene to scene, as those of a model do that fails
on cluttered rooms. Of N runs with true rate r, the found rate has the standard error
sqrt(r (1 - r) / N); bounds below are three of these away from nominal, so that what holds its level
stays within them whatever the seed, and what errs by a third more often does not.
"""

from __future__ import annotations

import numpy as np
import pytest

from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.intervals import intervals
from spatialsv.stats.means import Mean, MeanOfMeans, Tree
from spatialsv.stats.paired import mcnemar_exact, paired_permutation_test

SCENES, RUNS, QUICK = 30, 300, 300
SHARES = (0.15, 0.5, 0.85)  # right of a scene's answers, each as likely
SLACK = 3 * np.sqrt(0.05 * 0.95 / RUNS)  # 3.8 points


def task(rng: np.random.Generator, shares: np.ndarray, shift: float = 0.0) -> Mean:
    """Right and wrong answers, up to 15 questions a scene, unequally many."""
    scenes = np.repeat(np.arange(len(shares)), rng.integers(1, 16, len(shares)))
    right = rng.random(len(scenes)) < shares[scenes] + shift
    return Mean(tuple(right.astype(float).tolist()), tuple(scenes.tolist()))


def test_intervals_by_scene_hold_their_level_and_by_question_do_not():
    rng, held = np.random.default_rng(0), np.zeros(3)
    for run in range(RUNS):
        shares = rng.choice(SHARES, SCENES)
        tasks = task(rng, shares), task(rng, shares, 0.1)
        trees: list[Tree] = [tasks[0], MeanOfMeans(tasks)]
        by_question = Mean(tasks[0].scores, tuple(range(tasks[0].n)))
        found = intervals(trees, resamples=QUICK, seed=run)
        found += intervals([by_question], resamples=QUICK, seed=run)
        truths = (0.5, 0.55, 0.5)
        held += [low <= truth <= high for (low, high), truth in zip(found, truths, strict=True)]
    share = held / RUNS
    assert (abs(share[:2] - 0.95) <= SLACK).all(), share  # a task, and a mean of tasks
    assert share[2] < 0.80, share  # questions of a scene agree: a third of the width is missing


def test_under_the_null_the_permutation_holds_its_level_and_mcnemar_does_not():
    """Two equally good models, of which one is the better in each scene, now this, now that."""
    rng, found = np.random.default_rng(1), np.zeros(3)
    for run in range(RUNS):
        lead = rng.choice([-0.35, 0.35], SCENES)
        scenes = np.repeat(np.arange(SCENES), rng.integers(1, 16, SCENES))
        pair = [rng.random(len(scenes)) < 0.5 + sign * lead[scenes] for sign in (1, -1)]
        names = tuple(scenes.tolist())
        trees = [Mean(tuple(right.astype(float).tolist()), names) for right in pair]
        half = len(scenes) // 2
        macro = [
            MeanOfMeans((tree, Mean(tree.scores[:half], tree.clusters[:half]))) for tree in trees
        ]
        p = (
            paired_permutation_test(*trees, resamples=QUICK, seed=run),
            paired_permutation_test(*macro, resamples=QUICK, seed=run),
            mcnemar_exact(*pair),
        )
        found += np.array(p) < 0.05
    rate = found / RUNS
    assert (abs(rate[:2] - 0.05) <= SLACK).all(), rate
    assert rate[2] > 0.20, rate  # it takes each answer for a vote of its own


def seeds(rng: np.random.Generator, scenes: np.ndarray, spread: float, count: int) -> list[Mean]:
    """One model trained `count` times, each time a little better or worse."""
    found, names = [], tuple(scenes.tolist())
    shares = np.linspace(0.3, 0.7, SCENES)[scenes]
    for luck in rng.normal(0, spread, count):
        right = rng.random(len(scenes)) < np.clip(shares + luck, 0, 1)
        found.append(Mean(tuple(right.astype(float).tolist()), names))
    return found


@pytest.mark.parametrize("count", [2, 4])
def test_over_seeds_equal_ways_to_train_are_told_apart_no_oftener_than_the_level_says(count):
    rng, found = np.random.default_rng(count), np.zeros(3)
    for run in range(RUNS):
        scenes = np.repeat(np.arange(SCENES), 5)
        sides = [seeds(rng, scenes, 0.08, count) for _ in range(2)]
        told = compare_scores(*sides, seed=run, resamples=QUICK)
        as_given = [
            Mean(tuple(np.mean([tree.scores for tree in side], axis=0).tolist()), side[0].clusters)
            for side in sides
        ]
        found += (
            told.p < 0.05,
            not told.interval.low <= 0 <= told.interval.high,
            paired_permutation_test(*as_given, resamples=QUICK, seed=run) < 0.05,
        )
    rate = found / RUNS
    assert (rate[:2] <= 0.05 + SLACK).all(), rate
    assert (rate[:2] > 0.005).all(), rate  # nor never: an interval of everything would pass
    assert rate[2] > 0.25, rate  # with the trained models as given, luck is a difference
