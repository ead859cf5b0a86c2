"""The site builds without warnings, is complete, and loads nothing from the network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

import spatialsv
from extension.flowchart import draw
from extension.repository import find_line
from schemas.write_schema import schema
from spatialsv.cli import COMMANDS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("site")  # one build for all


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += ["-d", str(out / "doctrees"), str(ROOT / "docs"), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


def words_of(page: Path) -> str:
    """Return the text of a page."""
    return unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_every_page_is_reached_from_the_first(site):
    reached, open_pages = set(), [site / "index.html"]
    while open_pages:
        page = open_pages.pop()
        reached.add(page)
        links = re.findall(r'href="([^"#:]+\.html)', page.read_text())
        open_pages += {(page.parent / link).resolve() for link in links} - reached
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert {site / path.with_suffix(".html") for path in sources} <= reached


def test_links_between_pages_lead_to_anchors_that_exist(site):
    texts = {page: page.read_text() for page in site.rglob("*.html")}
    anchors = {page: set(re.findall(r' id="([^"]+)"', text)) for page, text in texts.items()}
    for page, text in texts.items():
        for target, anchor in re.findall(r'<a [^>]*href="([^":#]*)#([^"]+)"', text):
            linked = (page.parent / target).resolve() if target else page
            assert unescape(anchor) in anchors[linked], f"{page}: {target}#{anchor}"


def test_no_page_loads_anything_from_the_network(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]+href="(?:https?:)?//', text), page
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style


def settings(node: dict, path: str) -> set[tuple[str, str]]:
    """Return the path and the key of each setting below a node of the schema."""
    found = set()
    for key, child in node.get("properties", {}).items():
        inner = next((option for option in child.get("anyOf", []) if "properties" in option), child)
        entry = inner.get("additionalProperties")
        if "description" in child:
            found.add((path, key))
        elif isinstance(entry, dict) and "properties" in entry:
            found |= settings(entry, f"{path}.{key}.NAME")
        elif "properties" in inner:
            found |= settings(inner, f"{path}.{key}")
        else:
            found.add((path, key))
    return found


def test_every_setting_has_type_and_meaning(site):
    rows: dict[tuple[str, str], list[str]] = {}
    for page in (site / "reference/settings").glob("*.html"):
        for part in re.split(r"<h[234][^>]*>", page.read_text())[1:]:
            path = unescape(re.sub(r"<[^>]+>", "", part.partition("<a class=")[0]))
            for row in re.findall(r"<tr.*?</tr>", part.partition("</section>")[0], re.DOTALL):
                cells = re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
                cells = [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in cells]
                if len(cells) == 4:
                    rows[path, cells[0]] = cells
    wanted = set()
    for section, node in schema()["properties"].items():
        entry = node.get("additionalProperties")
        named = isinstance(entry, dict)
        wanted |= settings(entry if named else node, f"{section}.NAME" if named else section)
    assert rows.keys() == wanted
    for cells in rows.values():
        assert cells[1] and cells[3], cells


def test_the_help_of_every_command_is_shown(site):
    text = words_of(site / "reference/commands.html")
    for name in COMMANDS:
        assert f"usage: spatialsv {name} [-h]" in text
    assert text.count("--plan") >= 2 and "--tflops" in text  # of `train --plan`


def test_every_public_name_is_documented_once(site):
    text = (site / "reference/python-api.html").read_text()
    for name in spatialsv.__all__:
        assert text.count(f' id="spatialsv.{name}"') == 1, name
    assert "Float[Tensor, '*lead H W 3']" in words_of(site / "reference/python-api.html")


def test_every_column_of_the_analysis_is_documented(site):
    text = words_of(site / "reference/analysis.html")
    package = json.loads((ROOT / "src/spatialsv/analysis/datapackage.json").read_text())
    for resource in package["resources"]:
        assert resource["path"] in text
        for column in resource["schema"]["fields"]:
            assert column["name"] in text
            assert " ".join(column["description"].replace("`", "").split()) in text


def test_a_flowchart_has_its_boxes_in_the_order_of_its_arrows():
    picture = draw(["flowchart LR", "  a --> b --> d", "  a --> c --> d"])
    boxes = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">(\w)</text>', picture)
    x = {name: float(x) for x, _, name in boxes}
    assert x["a"] < x["b"] == x["c"] < x["d"]
    assert picture.count('class="arrow"') == 4


@pytest.mark.parametrize("line", ["graph TD", "flowchart LR\n  a -.-> b", "flowchart LR\n  a[x]"])
def test_other_diagrams_are_refused(line):
    with pytest.raises(ValueError, match="A flowchart"):
        draw(line.split("\n"))


def test_a_name_is_found_at_its_definition():
    path = ROOT / "src/spatialsv/geometry/rays.py"
    line = find_line(path, "geometry.rays.point_map")
    assert path.read_text().splitlines()[line - 1].startswith("def point_map(")
    assert find_line(path, "the module") is None
