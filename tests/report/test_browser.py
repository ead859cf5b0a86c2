"""The page in a real browser: it opens without a word on the console, and its filters work."""

from __future__ import annotations

import html
import re
import shutil
import subprocess

import pytest

from spatialsv.report import ReportConfig, run
from spatialsv.report.jobs import read_answers, read_jobs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory, finished_run):
    out = tmp_path_factory.mktemp("page") / "manifest.json"
    run(**finished_run, config=ReportConfig(resamples=50), out=out)
    return out.with_name("report.html")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return tmp_path_factory.mktemp("chromium")


def opened(page, profile, fragment=""):
    """The page's DOM after its script ran, as text, and what it said on the console."""
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{page.as_uri()}#{fragment}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


def cards(dom):
    return re.findall(r'<article class="card" data-task="(\w+)"', dom)


def count(dom):
    return html.unescape(re.search(r'<p id="count"[^>]*>([^<]*)</p>', dom)[1])


def test_it_opens_without_a_word_on_the_console(report, profile):
    dom, console = opened(report, profile)
    assert console == []
    assert count(dom) == "18 questions of 18, page 1 of 3"
    assert len(cards(dom)) == 6
    assert "<title>SpatialSV: results</title>" in dom  # hostile text did not run
    assert "&lt;b&gt;bold&lt;/b&gt;" in dom


def test_filter_by_task_and_page(report, profile):
    dom, console = opened(report, profile, "task=counting")
    assert console == []
    assert cards(dom) == ["counting"] * 6 and count(dom) == "6 questions of 18"
    assert count(opened(report, profile, "page=3")[0]) == "18 questions of 18, page 3 of 3"


@pytest.mark.parametrize("arm", ["text", "spatialsv"])
def test_filter_by_outcome_of_a_model(report, profile, finished_run, arm):
    (job,) = [job for job in read_jobs(finished_run["evaluate"]) if job.arm == arm]
    right = sum(answer.scored.score == 1 for answer in read_answers(job).values())
    dom, _ = opened(report, profile, f"arm={arm}&outcome=right")
    assert count(dom).split(",")[0] == f"{right} question{'s' * (right != 1)} of 18"


def test_search_words_that_nobody_asked(report, profile):
    dom, console = opened(report, profile, "find=zebra&task=nonsense")
    assert console == [] and cards(dom) == [] and count(dom) == "0 questions of 18"
