from dataclasses import replace

import numpy as np
import pytest

from spatialsv.report.comparisons import (
    blind_check,
    difference_by_seed,
    paired_tests,
    statement,
    text_pairs,
)
from spatialsv.report.jobs import Answer
from spatialsv.report.results import build_results, pool_seeds
from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.means import Mean
from spatialsv.stats.paired import detectable_difference, paired_permutation_test
from spatialsv.stats.summary import QuestionScore, summarise


def answers(scores, task="rotation", kind="choice", options=4, spatial=True, per_scene=2):
    return {
        f"{task}-{i}": Answer(
            QuestionScore(
                id=f"{task}-{i}",
                scene=f"s{i // per_scene}",
                task=task,
                kind=kind,
                spatial=spatial,
                score=float(score),
            ),
            prompt="?",
            options=options,
            answer="A",
            reply="A",
        )
        for i, score in enumerate(scores)
    }


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)

    def arm(skill):
        choice = answers(rng.uniform(size=80) < skill)
        number = answers(rng.integers(0, 11, size=40) / 10 * skill, "counting", "number", 0)
        recognition = answers(rng.uniform(size=40) < 0.9, "recognise_what", spatial=False)
        return [choice | number | recognition]

    skills = {"base": 0.1, "text": 0.5, "spatialsv": 0.8, "no_image": 0.25, "frequency": 0.3}
    return {name: arm(skill) for name, skill in skills.items()}


def test_columns_rows_and_means(runs):
    results = build_results(runs, resamples=200)
    assert [task["name"] for task in results["tasks"]] == [
        *("spatial", "spatial_choice", "spatial_number", "recognition"),
        *("rotation", "counting", "recognise_what"),
    ]
    assert [row["arm"] for row in results["rows"]] == list(runs)
    text = results["rows"][1]["scores"]
    scores = [a.scored.score for a in runs["text"][0].values() if a.scored.spatial]
    assert text["spatial"]["mean"] == pytest.approx(np.mean(scores))
    assert text["spatial"]["low"] < text["spatial"]["mean"] < text["spatial"]["high"]
    assert text["spatial"]["deviation"] is None


def test_chance_is_a_random_option_and_the_constant_for_numbers(runs):
    results = build_results(runs, resamples=10)
    constant = np.mean([a.scored.score for k, a in runs["frequency"][0].items() if "count" in k])
    assert results["chance"]["rotation"] == 0.25
    assert results["chance"]["counting"] == pytest.approx(constant)
    assert results["chance"]["spatial"] == pytest.approx((80 * 0.25 + 40 * constant) / 120)


def test_without_constants_pools_with_numbers_have_no_chance(runs):
    del runs["frequency"]
    assert set(build_results(runs, resamples=10)["chance"]) == {
        *("rotation", "spatial_choice", "recognise_what", "recognition")
    }


def test_pairs_and_their_p_values(runs):
    results = build_results(runs, resamples=10)
    assert [(test["first"], test["second"]) for test in results["tests"]] == [
        *(("base", "text"), ("spatialsv", "text"), ("text", "no_image"))
    ]
    test = results["tests"][1]
    first, second = runs["spatialsv"][0], runs["text"][0]
    names = [name for name, answer in first.items() if answer.scored.spatial]
    difference = np.array([first[n].scored.score - second[n].scored.score for n in names])
    scenes = tuple(first[n].scored.scene for n in names)
    pair = [Mean(tuple(run[n].scored.score for n in names), scenes) for run in (first, second)]
    assert test["p"] == paired_permutation_test(*pair)
    assert test["difference"] == pytest.approx(difference.mean())
    assert test["p"] <= test["p_holm"] <= 3 * test["p"]
    assert test["significant"] == (test["p_holm"] < 0.05)


def test_equal_arms_are_not_significant(runs):
    equal = dict.fromkeys(("text", "distill"), runs["text"])
    (test,) = paired_tests(equal, text_pairs(equal))
    assert (test["first"], test["difference"], test["p_holm"]) == ("distill", 0.0, 1.0)
    assert not test["significant"]


def test_seeds_are_averaged_by_question_and_spread_is_kept(runs):
    other = {
        name: replace(a, scored=replace(a.scored, score=1 - a.scored.score))
        for name, a in runs["text"][0].items()
    }
    runs["text"] = [runs["text"][0], other]
    row = build_results(runs, resamples=10)["rows"][1]
    assert row["seeds"] == 2
    assert row["scores"]["rotation"]["mean"] == pytest.approx(0.5)
    share = np.mean([a.scored.score for k, a in other.items() if "rotation" in k])
    spread = abs(1 - 2 * share) / np.sqrt(2)
    assert row["scores"]["rotation"]["deviation"] == pytest.approx(spread)


def test_arms_with_other_questions_are_refused(runs):
    runs["text"] = [dict(list(runs["text"][0].items())[1:])]
    with pytest.raises(ValueError, match=r"'base' and 'text' .* \(1 are not shared\)"):
        build_results(runs, resamples=10)


@pytest.mark.parametrize(("chance", "inside"), [(0.25, True), (0.9, False)])
def test_blind_check(runs, chance, inside):
    summaries = {"no_image": summarise(pool_seeds("no_image", runs["no_image"]))}
    found = blind_check(summaries, {"spatial_choice": chance})["spatial_choice"]
    assert found["contains_chance"] == inside


def test_statement_names_the_size_and_the_seed(runs):
    tests = paired_tests(runs, text_pairs(runs))
    words = " ".join(statement(runs, tests))
    expected = (
        f"{100 * tests[1]['minimum_detectable_difference']:.1f} points between SpatialSV and text"
    )
    assert "120 spatial questions about 40 scenes" in words and expected in words
    assert "not the luck of training" in words


def test_the_luck_of_training_counts_over_several_seeds(runs):
    (text,), (ours,) = runs["text"], runs["spatialsv"]
    names = [name for name, answer in ours.items() if answer.scored.spatial]
    scenes = tuple(ours[name].scored.scene for name in names)
    trees = [Mean(tuple(run[n].scored.score for n in names), scenes) for run in (ours, text)]
    (test,) = paired_tests({"spatialsv": [ours, text], "text": [text] * 2}, [("spatialsv", "text")])
    told = compare_scores(trees, [trees[1]] * 2)
    assert (
        test["p"] == told.p > paired_permutation_test(*trees)
    )  # of seeds that differ, little can be said
    assert test["minimum_detectable_difference"] == detectable_difference(told.error, told.freedom)


def test_several_seeds_are_told_by_the_spread_of_the_difference(runs):
    (text,), (ours,) = runs["text"], runs["spatialsv"]
    seeds = runs | {"text": [text, text], "spatialsv": [ours, text]}
    difference = difference_by_seed([ours], [text])["mean"]
    assert difference_by_seed(seeds["spatialsv"], seeds["text"]) == {
        "mean": pytest.approx(difference / 2),
        "deviation": pytest.approx(abs(difference) / 2**0.5),
        "n": 2,
    }
    assert difference_by_seed(seeds["spatialsv"], [text]) is None
    words = " ".join(statement(seeds, paired_tests(seeds, text_pairs(seeds))))
    assert "Over 2 seeds of training" in words and "not the luck of training" not in words
