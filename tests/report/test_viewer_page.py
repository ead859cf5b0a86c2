"""The 3D view in a real browser, which draws without a GPU: points are seen, and turn."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.chrome import CHROMIUM, Chrome
from spatialsv.report import ReportConfig, run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
GROUND = (0x14, 0x17, 0x1C)


@pytest.fixture(scope="module")
def page(tmp_path_factory, analysed):
    out = tmp_path_factory.mktemp("page") / "manifest.json"
    run(analysis=analysed, config=ReportConfig(), out=out)
    browser = Chrome(tmp_path_factory.mktemp("chromium"))
    browser.report = out.with_name("report.html")
    yield browser
    browser.close()


@pytest.fixture
def viewer(page):
    """The page at its 3D view, all drawn."""

    def go(fragment="scene=plane-2", **how):
        page.open(page.report, fragment, **how)
        drawn(page)
        return page

    yield go
    assert page.console == []
    assert page.requests == []


def drawn(page):
    page.wait("document.getElementById('canvas').dataset.points")
    page.js("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def seen(page):
    """Which pixels of the canvas show anything, without names and frame."""
    pixels = page.screenshot("#canvas")[50:-10, 10:-10].astype(int)
    return np.abs(pixels - GROUND).max(axis=-1) > 8


def test_points_are_drawn_of_both_clouds(viewer):
    page = viewer()
    shown = seen(page)
    left, right = np.array_split(shown, 2, axis=1)
    assert left.mean() > 0.02 and right.mean() > 0.02
    points = page.js("document.getElementById('canvas').dataset.points")
    assert points == "2048,2048"  # of 2 views of 32 x 32
    assert page.address["scene"] == "plane-2"


def test_the_lifted_cloud_is_the_known_one_where_depth_is_exact(viewer):
    """The run's lifted depth is right: seen from one place, both look alike, and no error shows."""
    page = viewer("scene=plane-2&show=truth")
    known = seen(page)
    page.choose("view", "show", "model")
    page.wait("document.getElementById('names').textContent === 'lifted from SpatialSV'")
    drawn(page)
    assert (seen(page) == known).mean() > 0.99
    assert ": 0.0 %" in page.js("document.getElementById('summary').textContent")


def test_colours_are_those_of_image_and_error(viewer):
    page = viewer("scene=plane-2&show=model")
    image = page.screenshot("#canvas")
    page.choose("view", "colour", "error")
    page.wait("!document.getElementById('scale').hidden")
    drawn(page)
    assert np.abs(page.screenshot("#canvas").astype(int) - image).max() > 60
    assert page.address["colour"] == "error"


def test_keys_and_mouse_turn_and_come_closer(viewer):
    page = viewer()
    page.js("document.getElementById('canvas').focus()")
    before = seen(page)
    for key in ("ArrowLeft", "ArrowUp", "+", "1", "t", "0"):
        page.press(key)
        drawn(page)
        after = seen(page)
        assert (after != before).any(), key
        before = after
    x, y = page.corner("#canvas")
    page.drag((x + 100, y + 100), (x + 220, y + 130))
    drawn(page)
    assert (seen(page) != before).any()


def test_a_finger_turns_it_sideways_and_scrolls_the_page_up_and_down(viewer):
    page = viewer(size=(380, 800))
    before, top = seen(page), page.js("scrollY")
    x, y = page.corner("#canvas")
    page.swipe((x + 60, y + 150), (x + 260, y + 150))
    drawn(page)
    assert (seen(page) != before).mean() > 0.01 and page.js("scrollY") == top
    page.swipe((x + 60, y + 250), (x + 60, y + 100))
    page.wait(f"scrollY > {top}")


def test_without_webgl_it_says_so_and_the_rest_works(page, tmp_path):
    browser = Chrome(tmp_path, "--disable-3d-apis")
    browser.open(page.report, "scene=plane-2")
    browser.wait("document.getElementById('panes').textContent.includes('no WebGL')")
    assert browser.js("document.getElementById('view').hidden")
    browser.js("document.querySelector('.card .to3d').click()")
    assert browser.js("document.querySelectorAll('.card').length") > 0
    assert browser.console == []
    browser.close()


def test_scenes_are_stepped_through_and_linked_from_questions(viewer):
    page = viewer()
    page.js("document.getElementById('after').click()")
    page.wait("new URLSearchParams(location.hash.slice(1)).get('scene') === 'plane-3'")
    page.js("document.querySelector('.card .to3d').click()")
    page.wait("document.getElementById('view').elements.scene.value === 'plane-0'")


def test_on_a_phone_the_clouds_stand_one_over_the_other(viewer):
    page = viewer(size=(380, 800), dark=True)
    assert page.js("document.getElementById('panes').classList.contains('stacked')")
    upper, lower = np.array_split(seen(page), 2)
    assert upper.mean() > 0.02 and lower.mean() > 0.02
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
