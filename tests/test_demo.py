"""The demo, end to end on two rooms: its page, its scores, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import re

import pytest

from helpers.chrome import CHROMIUM, Chrome
from spatialsv.benchmarks.responses import read_responses
from spatialsv.cli import main

ROOMS, QUESTIONS = 2, 4


@pytest.fixture(scope="module")
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def demo(tmp_path_factory, printed):
    out = tmp_path_factory.mktemp("demo")
    words = ["demo", "--rooms", str(ROOMS), "--questions", str(QUESTIONS), "--out", str(out)]
    with contextlib.redirect_stdout(printed):
        assert main(words) == 0
    return out


def responses(demo, arm):
    return read_responses(demo / f"stages/evaluate/rooms/{arm}/0/responses.jsonl")


def embedded(page, name):
    found = re.search(rf'id="{name}">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_every_arm_answers_the_same_questions_and_exact_geometry_solves_them(demo):
    ids = {
        arm: [one.id for one in responses(demo, arm)] for arm in ("base", "no_image", "geometry")
    }
    assert ids["base"] == ids["no_image"] == ids["geometry"] and len(ids["base"]) >= ROOMS
    exact = responses(demo, "exact_geometry")
    assert sum(one.score for one in exact) / len(exact) >= 0.8
    assert {one.response for one in responses(demo, "geometry")} <= set("ABCDEF") | {""}
    assert {one.inputs.get("images") is None for one in responses(demo, "base")} == {False}


def test_the_page_has_images_depth_clouds_and_marked_answers(demo):
    page = demo / "index.html"
    data, clouds = embedded(page, "data"), embedded(page, "clouds")
    assert len(data["scenes"]) == ROOMS and len(clouds["scenes"]) == ROOMS
    kinds = {source["name"]: source["kind"] for source in clouds["sources"]}
    assert kinds == {"exact": "reference", "teacher:rooms": "model"}  # shown side by side
    assert all(len(question["responses"]) == 4 for question in data["questions"])
    text = page.read_text()
    assert f"A demo on {ROOMS} rendered test rooms" in text and "nothing was trained" in text
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!data:|#)', without_scripts)
    assert page.stat().st_size < 10_000_000


def test_progress_scores_and_page_are_printed(demo, printed):
    lines = printed.getvalue().splitlines()
    assert [line[:8] for line in lines[:6]] == [f"demo {n}/6" for n in range(1, 7)]
    table = "\n".join(lines[6:-1])
    assert re.search(r"spatial choices \(n \d+\)", table)
    for arm in ("untuned base", "no image", "geometry-only solver (teacher)"):
        assert re.search(rf"{re.escape(arm)}.* \d+\.\d \[\d+\.\d, \d+\.\d\]", table)
    assert f"Open {demo / 'index.html'} in a browser" in lines[-1]


@pytest.mark.parametrize("option", ["--rooms", "--questions"])
def test_a_demo_of_nothing_is_refused(option, tmp_path, capsys):
    assert main(["demo", option, "0", "--out", str(tmp_path / "d")]) == 2
    assert f"{option[2:]}: expected" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser_both_clouds_are_drawn_and_nothing_is_said(demo, tmp_path):
    browser = Chrome(tmp_path)
    page = demo / "index.html"
    browser.open(page, f"scene={next(iter(embedded(page, 'data')['scenes']))}")
    browser.wait("document.getElementById('canvas').dataset.points?.includes(',')")
    assert browser.js("document.querySelectorAll('.card').length") >= ROOMS
    assert browser.js("document.querySelectorAll('.responses .correct').length") > 0
    assert browser.console == [] and browser.requests == []
    browser.close()
