"""scene.html: the points of the cloud, in a page that loads nothing."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from helpers.chrome import CHROMIUM, Chrome
from spatialsv.lift.files.scene_page import write_scene_page
from spatialsv.report.examples import decode_cloud

NOTICE = "was trained on <b>rooms</b> only"


@pytest.fixture(scope="module")
def page(result, cloud, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "scene.html"
    write_scene_page(path, result, cloud, "the teacher", NOTICE)
    return path


def embedded(page, name):
    found = re.search(rf'id="{name}">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_the_page_has_the_points_of_the_cloud(page, cloud):
    [encoded] = embedded(page, "clouds")["scenes"]["place"]
    depth, points = decode_cloud(encoded)
    known = np.isfinite(depth).ravel()
    assert known.sum() == len(cloud.points)
    np.testing.assert_allclose(points[known], cloud.points, rtol=1e-3, atol=1e-3)


def test_images_are_where_the_maps_show_them(page, result):
    [encoded] = embedded(page, "clouds")["scenes"]["place"]
    for view, (left, top, width, height) in zip(result.views, encoded["windows"], strict=True):
        rows, columns = view.window(result.size)
        assert (left, top) == (columns.start, rows.start)
        assert (left + width, top + height) == (columns.stop, rows.stop)
    assert len(embedded(page, "data")["scenes"]["place"]["images"]) == len(result.views)


def test_the_page_refers_to_nothing_outside_and_text_is_text(page):
    text = re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text) and "://" not in text
    assert "<b>rooms</b>" not in text and "The teacher was trained on" in text


def test_many_large_images_stay_below_ten_megabytes(result, cloud, tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8))  # worst case
    views = [replace(result.views[i % 3], image=noise) for i in range(60)]
    arrays = {
        name: np.repeat(array, 20, axis=1)
        for name, array in result.scenes.arrays.items()
        if name != "frame_ids"
    }
    many = replace(result, views=views, scenes=result.scenes.replace(frame_ids=None, **arrays))
    write_scene_page(tmp_path / "scene.html", many, cloud, "the teacher", None)
    assert (tmp_path / "scene.html").stat().st_size < 10_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_points_are_drawn_and_controls_without_a_choice_are_hidden(page, cloud, tmp_path):
    browser = Chrome(tmp_path)
    browser.open(page)
    browser.wait("document.getElementById('canvas').dataset.points")
    points = browser.js("document.getElementById('canvas').dataset.points")
    assert points == str(len(cloud.points))
    browser.js("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
    drawn = browser.screenshot("#canvas")[50:-10, 10:-10].astype(int)
    assert (np.abs(drawn - (0x14, 0x17, 0x1C)).max(axis=-1) > 8).mean() > 0.01
    visible = "[...document.querySelectorAll('#view label')].filter((l) => l.offsetParent !== null)"
    labels = browser.js(f"{visible}.map((label) => label.textContent.trim())")
    assert labels == ["image", "confidence", "cameras"]
    assert browser.js("document.querySelectorAll('#looks img').length") == 3
    browser.choose("view", "colour", "confidence")
    browser.wait("!document.getElementById('scale').hidden")
    assert browser.console == [] and browser.requests == []
    browser.close()
