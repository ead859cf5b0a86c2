"""Disagreements in pictures: who is chosen, what is shown of it, and how clouds are seen."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spatialsv.io.manifest import read_manifest
from spatialsv.report.examples import disagreements_of
from spatialsv.report.examples_figure import PIXELS, examples_figure
from spatialsv.report.figures import as_png
from spatialsv.report.gate_figure import standing_alone
from spatialsv.report.interpret import disagreement
from spatialsv.report.jobs import read_jobs, read_runs
from spatialsv.report.splat import points_of, splat
from spatialsv.report.viewer import EXACT, cloud_of, known_maps, stored_maps

SIZE = (60, 40)
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def told(finished_run):
    """What the stage hands on: the record, replies, scenes, and where geometry lies."""
    runs, scenes = (
        read_runs(finished_run["evaluate"]),
        [*map(read_manifest, finished_run["scenes"])],
    )
    known = known_maps(scenes, ())[EXACT]
    lifted, probed = (stored_maps(read_jobs(finished_run[stage])) for stage in ("lift", "probe"))
    record = [disagreement("spatialsv", runs, dict.fromkeys(known, 0.1))]
    return record, runs, scenes, known, lifted, probed


@pytest.fixture(scope="module")
def found(told):
    (one,) = disagreements_of(*told)
    return one


def test_choices_that_one_alone_got_right_are_shown(told, found):
    record, (part,) = told[0], told[0]
    assert found.arms == ("spatialsv", "text")
    assert found.how == {"spatialsv": "lifted", "text": "probed"}
    assert len(found.examples) >= 2
    for example in found.examples:
        scores = [example.replies[arm].scored.score for arm in found.arms]
        own = record[0]["only_first"] if scores == [1, 0] else record[0]["only_second"]
        assert sorted(scores) == [0, 1] and example.question.id in own
        assert example.question.options and example.replies["text"].prompt
        assert part["only_first"]


def test_they_lie_evenly_over_all(told):
    record, runs, *rest = told
    for each in (1, 3):
        (more,) = disagreements_of(record, runs, *rest, each=each)
        alone = [e for e in more.examples if e.replies["spatialsv"].scored.score == 1]
        assert len(alone) == each and len({e.question.id for e in alone}) == each
        fit = [name for name in record[0]["only_first"] if runs["text"][0][name].options]
        places = [fit.index(e.question.id) for e in alone]
        assert places == [i * len(fit) // each for i in range(each)]


def test_a_model_whose_depth_nobody_knows_has_no_figure(told):
    record, runs, scenes, known, lifted, _ = told
    assert disagreements_of(record, runs, scenes, known, lifted, {}) == []
    assert disagreements_of([], *told[1:]) == []


def test_the_figure_shows_images_depth_and_clouds_of_both(found):
    svg = examples_figure(found)
    views = [min(4, len(example.question.views)) for example in found.examples]
    assert svg.count("data:image/jpeg") == sum(4 * count for count in views)
    assert svg.count("data:image/png") == 3 * len(found.examples)  # known, first, second
    assert svg.count(">read by a probe,<") == svg.count(">lifted<") == len(found.examples)
    for example in found.examples:
        assert f"Right: {example.question.answer}. SpatialSV: " in svg
    pytest.importorskip("resvg_py")
    shown = np.asarray(Image.open(io.BytesIO(as_png(standing_alone(svg)))).convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 1000  # pictures, not boxes


def test_the_exact_cloud_looks_like_the_known_one_and_the_flat_one_does_not(found):
    pictures = re.findall(r"data:image/png;base64,([^\"]*)", examples_figure(found))
    known, lifted, probed = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGBA")).astype(int)
        for uri in pictures[:3]
    )
    assert known.shape == (*PIXELS, 4) and (known[..., 3] > 0).mean() > 0.05
    assert np.abs(known - lifted).mean() < 1 < 5 < np.abs(known - probed).mean()


def test_words_from_outside_are_no_markup(found):
    first = found.examples[0]
    text = "<b>bold</b> & more\nA. <script>\nB. lamp"
    hostile = replace(first, question=replace(first.question, text=text))
    svg = examples_figure(replace(found, examples=[hostile]))
    assert "<script>" not in svg and "&lt;b&gt;bold" in svg


def test_a_near_point_hides_a_far_one_and_the_middle_is_in_the_middle():
    around = np.random.default_rng(0).normal(size=(501, 3))
    middle = np.median(around, axis=0)
    back = np.array((0.45, -0.62, -0.75))
    for nearer in (0, 1):  # whichever comes first
        points = np.stack([middle, middle + 0.2 * back])
        colours = np.array([BLUE, RED], np.uint8)
        order = [0, 1] if nearer else [1, 0]
        picture = splat(points[order], colours[order], around, SIZE)
        assert tuple(picture[30, 20]) == (*RED, 255)
        assert (picture[..., 3] > 0).sum() == 9  # one behind the other
    alone = splat(middle[None], np.array([BLUE], np.uint8), around, SIZE)
    assert tuple(alone[30, 20]) == (*BLUE, 255)


def test_up_is_up_and_right_is_right():
    around = np.random.default_rng(0).normal(size=(501, 3))
    middle = np.median(around, axis=0)

    def at(offset):
        picture = splat(middle[None] + offset, np.array([RED], np.uint8), around, SIZE)
        rows, columns = np.nonzero(picture[..., 3])
        return rows.mean(), columns.mean()

    row, column = at((0, 0, 0))
    assert at((0, -0.5, 0))[0] < row and at((0.5, 0, 0))[1] > column  # y down, x right
    assert at((0, 0, 0.5))[0] < row  # seen from above, far is up


def test_unknown_points_are_left_out(tiny_scenes):
    cloud = cloud_of(tiny_scenes, 0)
    points = points_of(cloud)
    assert np.isfinite(points).all(axis=1).sum() == int(cloud.valid.sum())
    nothing = np.full((4, 3), np.nan)
    assert not splat(nothing, np.zeros((4, 3), np.uint8), points, SIZE).any()
    assert not splat(points, np.zeros(points.shape, np.uint8), nothing, SIZE).any()
