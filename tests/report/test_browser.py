"""The page in a real browser: it says nothing on the console, asks for nothing, and works."""

from __future__ import annotations

import pytest

from helpers.chrome import CHROMIUM, Chrome
from spatialsv.analysis.jobs import read_job_responses, read_jobs
from spatialsv.report import ReportConfig, run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory, analysed):
    out = tmp_path_factory.mktemp("page") / "manifest.json"
    run(analysis=analysed, config=ReportConfig(), out=out)
    return out.with_name("report.html")


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    browser = Chrome(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def opened(chrome, report):
    """Opens the page at a fragment of its address, and looks in the end at what it said."""

    def go(fragment="", **how):
        chrome.open(report, fragment, **how)
        return chrome

    yield go
    assert chrome.console == []
    assert chrome.requests == []


def cards(page):
    return page.js("[...document.querySelectorAll('.card')].map((card) => card.dataset.task)")


def count(page):
    return page.js("document.getElementById('count').textContent")


def focused(page):
    return page.js("document.activeElement.getAttribute('aria-label')")


def scores(finished_run, arm):
    (job,) = [job for job in read_jobs(finished_run["evaluate"]) if job.arm == arm]
    return {name: answer.scored().score for name, answer in read_job_responses(job).items()}


def test_hostile_text_is_text(opened):
    page = opened()
    assert page.js("document.title") == "SpatialSV: results"  # it did not run
    assert page.js("document.querySelector('.text').textContent").count("<b>bold</b>") == 1
    assert page.js("document.querySelectorAll('main b').length") == 0


def test_a_script_that_slips_in_does_not_run(chrome, report, tmp_path):
    """The page's policy holds even where escaping would fail."""
    text = report.read_text()
    slipped = tmp_path / "slipped.html"
    slipped.write_text(text.replace("<main>", "<main><script>document.title = 'x'</script>"))
    chrome.open(slipped)
    assert chrome.js("document.title") == "SpatialSV: results"
    assert any("Content Security Policy" in said for said in chrome.console)


def test_filter_by_task_and_page(opened):
    page = opened()
    assert count(page) == "18 questions of 18, page 1 of 3" and len(cards(page)) == 6
    page.choose("filters", "task", "counting")
    assert cards(page) == ["counting"] * 6 and count(page) == "6 questions of 18"
    assert page.address == {"task": "counting"}
    page = opened("page=3")
    assert count(page) == "18 questions of 18, page 3 of 3"


@pytest.mark.parametrize("arm", ["text", "spatialsv"])
def test_filter_by_outcome_of_a_model(opened, finished_run, arm):
    right = sum(score == 1 for score in scores(finished_run, arm).values())
    page = opened(f"arm={arm}&outcome=correct")
    assert count(page).split(",")[0] == f"{right} question{'s' * (right != 1)} of 18"


def test_models_that_differ(opened, finished_run):
    ours, text = scores(finished_run, "spatialsv"), scores(finished_run, "text")
    differ = sum(ours[name] != text[name] for name in ours)
    better = sum(ours[name] > text[name] for name in ours)
    assert better > 0 and better != differ
    page = opened("outcome=disagree&arm=spatialsv&against=text")
    assert count(page).startswith(f"{differ} question")
    page.choose("filters", "outcome", "better")
    assert count(page).startswith(f"{better} question")


def test_search_words_that_nobody_asked(opened):
    page = opened("find=zebra&task=nonsense")
    assert cards(page) == [] and count(page) == "0 questions of 18"


def test_a_link_to_one_question(opened):
    page = opened()
    page.js("document.querySelectorAll('.card h3 a')[3].click()")
    page.wait("document.querySelectorAll('.card').length === 1")
    assert "question" in page.address
    page.js("document.getElementById('all').click()")
    assert count(page) == "18 questions of 18, page 1 of 3" and page.address == {}


def test_arrow_keys_turn_pages_and_walk_questions(opened):
    page = opened()
    page.js("document.querySelector('.card').focus()")
    first = focused(page)
    page.press("ArrowDown")
    assert focused(page).startswith("Question ") and focused(page) != first
    page.press("ArrowUp")
    assert focused(page) == first
    page.press("ArrowRight")
    assert count(page) == "18 questions of 18, page 2 of 3" and page.address == {"page": "2"}
    page.press("ArrowLeft")
    assert focused(page) == first


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen_and_text_stands_out(opened, width, dark):
    page = opened(size=(width, 800), dark=dark)
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    paper, ink = (
        page.js(f"getComputedStyle(document.body).{name}.match(/[0-9]+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (max(paper) < 60) == dark
    assert abs(sum(paper) - sum(ink)) > 500
