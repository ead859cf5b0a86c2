from dataclasses import replace

import numpy as np
import pytest

from helpers.finished_run import scored_response
from spatialsv.analysis.comparisons import comparison_table, detectable_per_task, text_pairs
from spatialsv.analysis.scores import no_image_table, score_table, shortcut_table
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.report.result_tables import result_tables
from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.means import Mean
from spatialsv.stats.paired import detectable_difference, paired_permutation_test
from spatialsv.stats.summary import QuestionScore


def responses(scores, task="rotation", kind="choice", options=4, spatial=True, per_scene=2):
    return {
        f"{task}-{i}": scored_response(
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
            response="A",
        )
        for i, score in enumerate(scores)
    }


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)

    def arm(skill):
        choice = responses(rng.uniform(size=80) < skill)
        number = responses(rng.integers(0, 11, size=40) / 10 * skill, "counting", "number", 0)
        recognition = responses(rng.uniform(size=40) < 0.9, "recognise_what", spatial=False)
        return [choice | number | recognition]

    skills = {"base": 0.1, "text": 0.5, "spatialsv": 0.8, "no_image": 0.25, "frequency": 0.3}
    return {name: arm(skill) for name, skill in skills.items()}


def rows_of(table, **equal):
    return [row for row in table if all(row[name] == value for name, value in equal.items())]


def test_columns_rows_and_means(runs):
    table = score_table(runs, resamples=200)
    assert list(dict.fromkeys(row["task"] for row in table)) == [
        *("spatial", "spatial_choice", "spatial_number", "recognition"),
        *("rotation", "counting", "recognise_what"),
    ]
    assert list(dict.fromkeys(row["arm"] for row in table)) == list(runs)
    (row,) = rows_of(table, arm="text", task="spatial")
    scores = [a.scored().score for a in runs["text"][0].values() if a.scored().spatial]
    assert row["mean"] == pytest.approx(np.mean(scores))
    assert row["low"] < row["mean"] < row["high"]
    assert row["deviation"] is None and row["is_pool"] and row["is_trained"]


def test_tasks_with_few_questions_also_form_one_row(runs):
    table = score_table(runs, resamples=50, min_items=60)
    assert rows_of(table, task="rotation") and rows_of(table, task="counting")
    (row,) = rows_of(table, arm="text", task="few_items")
    scores = [a.scored() for a in runs["text"][0].values()]
    own = [one.score for one in scores if one.task in ("counting", "recognise_what")]
    assert row["n"] == 80 and row["mean"] == pytest.approx(np.mean(own)) and not row["is_pool"]
    assert row["low"] < row["mean"] < row["high"] and row["chance"] is not None
    assert not rows_of(score_table(runs, resamples=10, min_items=40), task="few_items")
    words = result_tables({"scores": table, "comparisons": [], "geometry": []})[1]
    assert [line[0] for line in words.rows] == [
        "rotation (n 80)",
        "tasks with few questions (n 80)",
    ]
    assert "fewer than 60 questions share one row: counting, recognise what." in words.note


def test_chance_is_a_random_option_and_the_constant_for_numbers(runs):
    table = score_table(runs, resamples=10)
    chance = {row["task"]: row["chance"] for row in rows_of(table, arm="text")}
    constant = np.mean([a.scored().score for k, a in runs["frequency"][0].items() if "count" in k])
    assert chance["rotation"] == 0.25
    assert chance["counting"] == pytest.approx(constant)
    assert chance["spatial"] == pytest.approx((80 * 0.25 + 40 * constant) / 120)


def test_without_constants_pools_with_numbers_have_no_chance(runs):
    del runs["frequency"]
    table = score_table(runs, resamples=10)
    assert {row["task"] for row in table if row["chance"] is not None} == {
        *("rotation", "spatial_choice", "recognise_what", "recognition")
    }


def test_pairs_and_their_p_values(runs):
    table = comparison_table(runs, text_pairs(runs))
    assert [(row["first"], row["second"]) for row in table] == [
        *(("base", "text"), ("spatialsv", "text"), ("text", "no_image"))
    ]
    row = table[1]
    first, second = runs["spatialsv"][0], runs["text"][0]
    names = [name for name, answer in first.items() if answer.scored().spatial]
    difference = np.array([first[n].scored().score - second[n].scored().score for n in names])
    scenes = tuple(first[n].scored().scene for n in names)
    pair = [Mean(tuple(run[n].scored().score for n in names), scenes) for run in (first, second)]
    assert row["p"] == paired_permutation_test(*pair)
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["p"] <= row["p_holm"] <= 3 * row["p"]
    assert row["significant"] == (row["p_holm"] < 0.05)
    assert (row["n"], row["scenes"]) == (120, 40)
    assert detectable_per_task(runs, "spatialsv", "text") > 0


def test_equal_arms_are_not_significant(runs):
    equal = dict.fromkeys(("text", "distill"), runs["text"])
    (row,) = comparison_table(equal, text_pairs(equal))
    assert (row["first"], row["difference"], row["p_holm"]) == ("distill", 0.0, 1.0)
    assert not row["significant"]


def test_seeds_are_averaged_by_question_and_their_deviation_is_reported(runs):
    other = {name: replace(a, score=1 - a.score) for name, a in runs["text"][0].items()}
    runs["text"] = [runs["text"][0], other]
    (row,) = rows_of(score_table(runs, resamples=10), arm="text", task="rotation")
    assert row["seeds"] == 2
    assert row["mean"] == pytest.approx(0.5)
    share = np.mean([a.scored().score for k, a in other.items() if "rotation" in k])
    assert row["deviation"] == pytest.approx(abs(1 - 2 * share) / np.sqrt(2))


def test_arms_with_other_questions_are_refused(runs):
    runs["text"] = [dict(list(runs["text"][0].items())[1:])]
    with pytest.raises(ValueError, match=r"'base' and 'text' .* \(1 are not shared\)"):
        score_table(runs, resamples=10)


@pytest.mark.parametrize(("chance", "inside"), [(0.25, True), (0.9, False)])
def test_no_image_baseline_against_chance(runs, chance, inside):
    table = rows_of(score_table(runs), arm="no_image", task="spatial_choice")
    (row,) = no_image_table([one | {"chance": chance} for one in table])
    assert row["contains_chance"] == inside


def test_the_variance_across_seeds_counts_over_several_seeds(runs):
    (text,), (ours,) = runs["text"], runs["spatialsv"]
    names = [name for name, answer in ours.items() if answer.scored().spatial]
    scenes = tuple(ours[name].scored().scene for name in names)
    trees = [Mean(tuple(run[n].scored().score for n in names), scenes) for run in (ours, text)]
    seeds = {"spatialsv": [ours, text], "text": [text] * 2}
    (row,) = comparison_table(seeds, [("spatialsv", "text")])
    expected = compare_scores(trees, [trees[1]] * 2)
    assert row["p"] == expected.p > paired_permutation_test(*trees)  # two seeds that differ
    size = detectable_difference(expected.standard_error, expected.degrees_of_freedom)
    assert row["minimum_detectable_difference"] == size
    assert row["seed_variance"] == "estimated"


def test_an_arm_of_one_seed_takes_the_variance_of_the_other_unless_it_has_no_training(runs):
    (text,), (ours,) = runs["text"], runs["spatialsv"]
    seeds = {"spatialsv": [ours, text], "text": [text], "base": [text], "semi": [ours]}
    pairs = [("spatialsv", "text"), ("spatialsv", "base"), ("semi", "text")]
    pooled, fixed, single = comparison_table(seeds, pairs)
    variances = [row["seed_variance"] for row in (pooled, fixed, single)]
    assert variances == ["pooled", "estimated", "not covered"]
    assert pooled["high"] - pooled["low"] > fixed["high"] - fixed["low"]


def test_arms_that_hardly_differ_say_why_no_detectable_difference_is_given(runs):
    text = runs["text"][0]
    changed = [name for name, response in text.items() if response.scored().spatial][:2]
    other = text | {n: replace(text[n], score=1 - text[n].score) for n in changed}
    near = {"text": [text], "distill": [other]}
    (row,) = comparison_table(near, text_pairs(near))
    assert row["minimum_detectable_difference"] is None
    assert "of 40 scenes, at least 10 are needed" in row["minimum_detectable_difference_note"]
    assert detectable_per_task(near, "distill", "text") is None


def test_the_deviation_of_the_difference_is_over_paired_seeds(runs):
    (text,), (ours,) = runs["text"], runs["spatialsv"]
    pairs = [("spatialsv", "text")]
    (one,) = comparison_table({"spatialsv": [ours], "text": [text]}, pairs)
    (two,) = comparison_table({"spatialsv": [ours, text], "text": [text, text]}, pairs)
    assert two["difference"] == pytest.approx(one["difference"] / 2)
    assert two["seed_deviation"] == pytest.approx(abs(one["difference"]) / 2**0.5)
    assert two["seed_pairs"] == 2 and one["seed_deviation"] is None
    (uneven,) = comparison_table({"spatialsv": [ours, text], "text": [text]}, pairs)
    assert uneven["seed_deviation"] is uneven["seed_pairs"] is None


def test_shortcuts_are_listed_as_the_selection_measured_them(runs, tmp_path):
    text = "task,questions,tree,true_geometry\ncross_side,1200,51.5,100.0\ncross_apart,40,49,98.5\n"
    (tmp_path / "gates.csv").write_text(text)
    payload = {"gates.csv": digest_path(tmp_path / "gates.csv")}
    manifest = Manifest(stage="scenes", payload=payload)
    rows = shortcut_table(write_manifest(tmp_path / "selection.json", manifest))
    assert rows[0] == {"task": "cross_side", "shortcut": "tree", "n": 1200, "accuracy": 0.515}
    found = {(row["task"], row["shortcut"]): row["accuracy"] for row in rows}
    assert len(rows) == 4 and found["cross_apart", "true_geometry"] == 0.985
    (words,) = [
        table
        for table in result_tables(
            {"scores": score_table(runs), "comparisons": [], "geometry": []} | {"shortcuts": rows}
        )
        if table.title.startswith("What answers")
    ]
    assert words.rows[-1] == ("true geometry", "100.0", "98.5")
