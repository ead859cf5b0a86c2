"""Disagreements: which questions are selected, and the figure of them."""

import numpy as np
import pytest

from spatialsv.analysis import AnalysisConfig
from spatialsv.analysis.browser import mark_examples
from spatialsv.analysis.clouds import load_cloud, model_maps
from spatialsv.analysis.jobs import read_jobs, read_runs
from spatialsv.analysis.quality import disagreement_rows
from spatialsv.analysis.stage import viewer_records
from spatialsv.io.manifest import read_manifest
from spatialsv.report.examples import decode_cloud, examples_figure, pixel_colours
from spatialsv.report.style import as_svg
from spatialsv.scenes.question import read_questions
from spatialsv.viewer.clouds import encode_cloud


@pytest.fixture(scope="module")
def inputs(finished_run):
    """The table of disagreements, manifests of scenes, and the scenes with stored depth by arm."""
    runs = read_runs(read_jobs(finished_run["evaluate"]))
    scenes = [*map(read_manifest, finished_run["scenes"])]
    lifted, probed = (model_maps(read_jobs(finished_run[stage])) for stage in ("lift", "probe"))
    rows = disagreement_rows("spatialsv", runs, dict.fromkeys(lifted["spatialsv"], 0.1))
    return rows, scenes, probed | lifted


@pytest.fixture(scope="module")
def payload(finished_run):
    """The data of the viewers, and the examples."""
    runs = read_runs(read_jobs(finished_run["evaluate"]))
    lifts, probes = (read_jobs(finished_run[stage]) for stage in ("lift", "probe"))
    scenes = [*map(read_manifest, finished_run["scenes"])]
    rows = disagreement_rows("spatialsv", runs, {})
    config = AnalysisConfig(browser_scenes=1, viewer_scenes=1)  # more scenes for the examples
    records = viewer_records(runs, lifts, probes, scenes, [], rows, config)
    examples = [row for row in rows if row["is_example"]]
    return examples, records["browser.json"], records["clouds.json"]


def test_examples_are_choices_that_only_one_arm_answers(payload):
    examples, browser, clouds = payload
    questions = {question["id"]: question for question in browser["questions"]}
    arms = [arm["name"] for arm in browser["arms"]]
    assert len(examples) >= 2
    for row in examples:
        question = questions[row["question"]]
        scores = {arm: question["responses"][arms.index(arm)][1] for arm in ("spatialsv", "text")}
        assert [arm for arm, score in scores.items() if score == 1] == [row["correct_arm"]]
        assert len(question["text"].splitlines()) > 1  # with options
        assert row["scene"] in browser["scenes"] and row["scene"] in clouds["scenes"]


def test_examples_are_evenly_spaced(inputs):
    table, scenes, maps = inputs
    for each in (1, 3):
        rows = [dict(row) for row in table]
        mark_examples(rows, scenes, maps, each)
        own = [row["question"] for row in rows if row["correct_arm"] == "spatialsv"]
        questions = {q.id: q for m in scenes for q in read_questions(m.find(".questions.jsonl"))}
        fit = [name for name in own if questions[name].options]
        marked = {row["question"] for row in rows if row["is_example"]} & set(own)
        assert marked == {fit[i * len(fit) // each] for i in range(each)}


def test_an_arm_without_stored_depth_has_no_examples(inputs):
    table, scenes, maps = inputs
    rows = [dict(row) for row in table]
    assert mark_examples(rows, scenes, {"spatialsv": maps["spatialsv"]}) == []
    assert mark_examples([], scenes, maps) == []


def test_the_figure_has_images_depth_and_clouds_of_both_arms(payload):
    figure = examples_figure(*payload)
    axes = [ax for block in figure.subfigs for ax in block.axes]
    images = [ax for ax in axes if ax.images]
    clouds = [ax for ax in axes if ax.name == "3d"]
    questions = {question["id"]: question for question in payload[1]["questions"]}
    shown = [questions[row["question"]] for row in payload[0]]
    assert len(images) == sum(4 * min(4, len(question["views"])) for question in shown)
    assert len(clouds) == 3 * len(shown)  # ground truth, first, second
    labels = [ax.get_ylabel() for ax in images]
    assert sum("probed" in label for label in labels) == len(shown)
    svg = as_svg(figure)
    for question in shown:
        assert f"Correct answer: {question['answer']}. SpatialSV: " in svg


def test_the_exact_cloud_looks_like_the_true_one_and_the_flat_one_does_not(payload):
    _, _, clouds = payload
    names = [source["name"] for source in clouds["sources"]]
    assert names == ["exact", "lifted:spatialsv", "probed:text"]
    true, lifted, probed = (decode_cloud(c)[1] for c in next(iter(clouds["scenes"].values())))
    known = np.isfinite(true).all(axis=1)
    assert known.mean() > 0.05
    assert np.abs(true - lifted)[known].max() < 1e-3 < 0.05 < np.abs(true - probed)[known].mean()


def test_foreign_words_are_not_markup(payload):
    (first, *_), browser, clouds = payload
    text = "<b>bold</b> & $more$\nA. <script>\nB. lamp"
    questions = [question | {"text": text} for question in browser["questions"]]
    svg = as_svg(examples_figure([first], browser | {"questions": questions}, clouds))
    assert "<script>" not in svg and "&lt;b&gt;bold" in svg and "$more$" in svg


def test_colours_are_those_of_the_pixels():
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    colours = pixel_colours([image, image], (2, 1, 2)).reshape(2, 1, 2, 3)
    np.testing.assert_array_equal(colours[1, 0], image[1, [1, 3]])


def test_points_without_depth_are_left_out(tiny_scenes):
    cloud = load_cloud(tiny_scenes, 0)
    _, points = decode_cloud(encode_cloud(cloud, 10**6))
    assert np.isfinite(points).all(axis=1).sum() == int(cloud.valid.sum())
