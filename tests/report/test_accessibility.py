"""The page for keyboards, screen readers and narrow screens, in a real browser."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.chrome import CHROMIUM, Chrome
from spatialsv.report import ReportConfig, run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
WIDTHS = [1440, 390]
VIOLATIONS = """axe.run().then(({ violations }) => violations.flatMap(
  ({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)}`)))"""
# Visible elements beyond the screen's edges that no part of the page scrolls to.
CLIPPED = """[...document.querySelectorAll("body *")].filter((node) => {
  const { left, right, width } = node.getBoundingClientRect();
  if (!width || node.closest(".skip") || (left >= -1 && right <= innerWidth + 1)) return false;
  for (let above = node.parentElement; above; above = above.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(above).overflowX)) return false;
  }
  return true;
}).map((node) => node.outerHTML.slice(0, 200))"""
# Words of figures outside their SVG's edges.
CUT_WORDS = """[...document.querySelectorAll("figure svg")].flatMap((svg) => {
  const edge = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    return left < edge.left - 1 || right > edge.right + 1
      || top < edge.top - 1 || bottom > edge.bottom + 1;
  }).map((text) => text.textContent);
})"""
FOCUS = """(({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && outlineWidth !== "0px")(
  getComputedStyle(document.activeElement.matches("fieldset input")
    ? document.activeElement.nextElementSibling : document.activeElement))"""
NAME = """((node) => node.id || node.name || node.getAttribute("aria-label")
  || node.textContent.trim())(document.activeElement)"""


def axe_script() -> Path | None:
    """axe-core: a file that SPATIALSV_AXE names, or that of the package axe-core-python."""
    if path := os.environ.get("SPATIALSV_AXE"):
        return Path(path)
    found = find_spec("axe_core_python")
    return Path(found.origin).with_name("axe.min.js") if found and found.origin else None


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    browser = Chrome(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory, analysed, finished_run):
    out = tmp_path_factory.mktemp("page") / "manifest.json"
    run(
        analysis=analysed,
        benchmarks=finished_run["timings"],
        config=ReportConfig(note="A note."),
        overlay="smoke",
        out=out,
    )
    return out.with_name("report.html")


@pytest.fixture
def page(chrome, report):
    """Opens the page with its 3D view drawn, and looks in the end at what it said."""

    def go(width, dark=False, fragment="scene=plane-2"):
        chrome.open(report, fragment, size=(width, 900), dark=dark)
        if fragment:
            chrome.wait("document.getElementById('canvas').dataset.points")
        return chrome

    yield go
    assert chrome.console == []
    assert chrome.requests == []


@pytest.mark.skipif(axe_script() is None, reason="needs axe-core: pip install axe-core-python")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_rules_of_accessibility(page, width, dark):
    opened = page(width, dark)
    opened.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.js(f"{axe_script().read_text()}; 0")
    assert opened.js(VIOLATIONS) == []


@pytest.mark.skipif(axe_script() is None, reason="needs axe-core: pip install axe-core-python")
def test_the_rules_find_a_fault(chrome, report, tmp_path):
    faulty = tmp_path / "faulty.html"
    faulty.write_text(report.read_text().replace('<html lang="en">', "<html>"))
    chrome.open(faulty)
    chrome.js(f"{axe_script().read_text()}; 0")
    assert [line.partition(":")[0] for line in chrome.js(VIOLATIONS)] == ["html-has-lang"]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_clipped(page, width):
    opened = page(width)
    assert opened.js("document.documentElement.scrollWidth <= innerWidth")
    assert opened.js(CLIPPED) == []
    assert opened.js(CUT_WORDS) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is(page, width):
    opened = page(width, fragment="")
    names = []
    while len(names) < 150:
        opened.press("Tab")
        if opened.js("document.activeElement === document.body"):
            break
        assert opened.js(FOCUS), opened.js("document.activeElement.outerHTML.slice(0, 200)")
        names.append(opened.js(NAME))
    wanted = ["Skip to the questions", "Scores", "scene", "canvas", "reset", "task", "outcome"]
    assert names[:2] == wanted[:2]
    assert [name for name in names if name in wanted] == wanted
    assert sum(name.startswith("Question ") for name in names) == 6
    before = opened.js("document.querySelector('.skip').getBoundingClientRect().left")
    assert before < 0  # out of sight without focus


def test_what_the_results_are_of_stands_at_the_top(page):
    opened = page(1440)
    rows = opened.js(
        "Object.fromEntries([...document.querySelectorAll('.provenance div')]"
        ".map((row) => [...row.children].map((cell) => cell.textContent)))"
    )
    assert rows["Overlay"] == "smoke" and rows["Report of"].endswith(" UTC")
    assert "test scenes " in rows["Data"]
    top = opened.js("document.querySelector('.provenance').getBoundingClientRect().bottom")
    assert top < 500
    order = opened.js(
        "[...document.querySelectorAll('.conclusion, table, figure, #canvas')]"
        ".map((node) => node.tagName)"
    )
    assert order[:3] == ["SECTION", "TABLE", "FIGURE"] and "CANVAS" in order
