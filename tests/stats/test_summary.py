import numpy as np
import pytest

from spatialsv.stats.intervals import cluster_bootstrap, wilson_interval
from spatialsv.stats.summary import QuestionScore, summarise


def scored(number, scene, task, kind, score, spatial=True):
    return QuestionScore(
        id=str(number), scene=scene, task=task, kind=kind, spatial=spatial, score=float(score)
    )


QUESTIONS = [
    scored(0, "a", "rotation", "choice", 1),
    scored(1, "b", "rotation", "choice", 0),
    scored(2, "a", "counting", "number", 0.4),
    scored(3, "b", "counting", "number", 1.0),
    scored(4, "a", "recognise_what", "choice", 1, spatial=False),
    scored(5, "a", "recognise_what", "choice", 1, spatial=False),
]


def test_tasks_and_groups():
    found = summarise(QUESTIONS)
    assert {name: summary.mean for name, summary in found.items()} == pytest.approx(
        {
            "rotation": 0.5,
            "counting": 0.7,
            "recognise_what": 1.0,
            "spatial_choice": 0.5,
            "spatial_number": 0.7,
            "spatial": 0.6,
            "recognition": 1.0,
        }
    )
    assert (found["spatial"].n, found["spatial"].scenes) == (4, 2)


def test_which_interval():
    found = summarise(QUESTIONS, resamples=300, seed=4)
    assert found["rotation"].interval == wilson_interval(1, 2)
    pooled = np.array([1, 0, 0.4, 1.0])
    expected = cluster_bootstrap(pooled, ["a", "b", "a", "b"], resamples=300, seed=4)
    assert found["spatial"].interval == expected
    assert found["recognition"].interval is None  # one scene


def test_choices_that_share_scenes_are_resampled_by_scene():
    scores, scenes = np.arange(40) % 3 == 0, [f"s{i // 4}" for i in range(40)]
    questions = [scored(i, scenes[i], "among", "choice", scores[i]) for i in range(40)]
    expected = cluster_bootstrap(scores.astype(float), scenes, resamples=300, seed=4)
    assert summarise(questions, resamples=300, seed=4)["among"].interval == expected


def test_expected_scores_of_a_baseline_are_no_proportion():
    fractions = [scored(i, "ab"[i], "among", "choice", 0.25) for i in range(2)]
    assert summarise(fractions)["among"].interval == (0.25, 0.25)
