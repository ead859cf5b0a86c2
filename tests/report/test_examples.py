"""Disagreements: which questions are selected, and the figure of them."""

import numpy as np
import pytest

from spatialsv.analysis.clouds import EXACT, encode_cloud, load_cloud, model_maps, reference_maps
from spatialsv.analysis.examples import disagreement_payload
from spatialsv.analysis.jobs import read_jobs, read_runs
from spatialsv.analysis.quality import disagreement_rows
from spatialsv.io.manifest import read_manifest
from spatialsv.report.examples import decode_cloud, examples_figure, pixel_colours
from spatialsv.report.style import as_svg


@pytest.fixture(scope="module")
def inputs(finished_run):
    """The table of disagreements, responses, scenes, and stored geometry."""
    runs = read_runs(read_jobs(finished_run["evaluate"]))
    scenes = [*map(read_manifest, finished_run["scenes"])]
    exact = reference_maps(scenes, ())[EXACT]
    lifted, probed = (model_maps(read_jobs(finished_run[stage])) for stage in ("lift", "probe"))
    table = disagreement_rows("spatialsv", runs, dict.fromkeys(exact, 0.1))
    return table, runs, scenes, exact, lifted, probed


@pytest.fixture(scope="module")
def pair(inputs):
    (one,) = disagreement_payload(*inputs)
    return one


def winner(example):
    (arm,) = [arm for arm, one in example["responses"].items() if one["is_correct"]]
    return arm


def test_examples_are_choices_that_only_one_arm_answers(inputs, pair):
    assert pair["arms"] == ["spatialsv", "text"]
    assert pair["sources"] == {"spatialsv": "lifted", "text": "probed"}
    assert len(pair["examples"]) >= 2
    for example in pair["examples"]:
        (row,) = [row for row in inputs[0] if row["question"] == example["question"]]
        assert row["correct_arm"] == winner(example)
        assert len(example["text"].splitlines()) > 1  # with options


def test_examples_are_evenly_spaced(inputs):
    table, runs, *rest = inputs
    for each in (1, 3):
        (more,) = disagreement_payload(table, runs, *rest, each=each)
        own = [e["question"] for e in more["examples"] if winner(e) == "spatialsv"]
        assert len(own) == each and len(set(own)) == each
        ids = [row["question"] for row in table if row["correct_arm"] == "spatialsv"]
        fit = [name for name in ids if runs["text"][0][name].options]
        assert [fit.index(name) for name in own] == [i * len(fit) // each for i in range(each)]


def test_an_arm_without_stored_depth_has_no_examples(inputs):
    table, runs, scenes, exact, lifted, _ = inputs
    assert disagreement_payload(table, runs, scenes, exact, lifted, {}) == []
    assert disagreement_payload([], *inputs[1:]) == []


def test_the_figure_has_images_depth_and_clouds_of_both_arms(pair):
    figure = examples_figure(pair).figure
    axes = [ax for block in figure.subfigs for ax in block.axes]
    images = [ax for ax in axes if ax.images]
    clouds = [ax for ax in axes if ax.name == "3d"]
    views = [min(4, len(example["views"])) for example in pair["examples"]]
    assert len(images) == sum(4 * count for count in views)
    assert len(clouds) == 3 * len(pair["examples"])  # ground truth, first, second
    labels = [ax.get_ylabel() for ax in images]
    assert sum("probed" in label for label in labels) == len(pair["examples"])
    svg = as_svg(figure)
    for example in pair["examples"]:
        assert f"Correct answer: {example['answer']}. SpatialSV: " in svg


def test_the_exact_cloud_looks_like_the_true_one_and_the_flat_one_does_not(pair):
    clouds = pair["examples"][0]["clouds"]
    true, lifted, probed = (decode_cloud(clouds[name])[1] for name in clouds)
    known = np.isfinite(true).all(axis=1)
    assert list(clouds) == ["exact", "spatialsv", "text"] and known.mean() > 0.05
    assert np.abs(true - lifted)[known].max() < 1e-3 < 0.05 < np.abs(true - probed)[known].mean()


def test_foreign_words_are_not_markup(pair):
    text = "<b>bold</b> & $more$\nA. <script>\nB. lamp"
    hostile = pair | {"examples": [pair["examples"][0] | {"text": text}]}
    svg = as_svg(examples_figure(hostile).figure)
    assert "<script>" not in svg and "&lt;b&gt;bold" in svg and "$more$" in svg


def test_colours_are_those_of_the_pixels():
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    colours = pixel_colours([image, image], (2, 1, 2)).reshape(2, 1, 2, 3)
    np.testing.assert_array_equal(colours[1, 0], image[1, [1, 3]])


def test_points_without_depth_are_left_out(tiny_scenes):
    cloud = load_cloud(tiny_scenes, 0)
    _, points = decode_cloud(encode_cloud(cloud, 10**6))
    assert np.isfinite(points).all(axis=1).sum() == int(cloud.valid.sum())
