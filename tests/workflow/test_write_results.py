"""The results page has the tables of a run and the digest of its settings."""

from __future__ import annotations

import re
import sys

import pytest

MARKED = "before\n<!-- results of {}: written by hand -->\nold\n<!-- /results -->\nafter\n"
HEADLINE = "<!-- headline of {}: written by hand -->\nold\n<!-- /headline -->\nafter\n"


@pytest.fixture
def pages(copy):
    """The page of results and the README, without markers."""
    readme, results = copy.root / "README.md", copy.root / "docs/results/index.md"
    results.parent.mkdir(parents=True)
    readme.write_text("# SpatialSV\n")
    return readme, results


def write(copy, *arguments: str):
    return copy.run(sys.executable, "workflow/write_results.py", *arguments)


def write_table(copy, stage: str, text: str) -> None:
    table = copy.root / f"data/{stage}/table.md"
    table.parent.mkdir(parents=True)
    table.write_text(text)


def test_the_tables_replace_the_text_between_the_markers_of_their_overlay(copy, pages):
    _, results = pages
    results.write_text(MARKED.format("default") + MARKED.format("smoke"))
    write_table(copy, "report", "### Answers\n\n| a table |\n")
    assert write(copy, "smoke").returncode == 0
    default, smoke = results.read_text().split("after\n")[:2]
    assert "old" in default and "| a table |" not in default
    assert "old" not in smoke and "| a table |" in smoke and "\n#### Answers\n" in smoke
    digest = re.search(r"Overlay `smoke`, configuration ([0-9a-f]{16})", smoke)[1]
    copy.edit("workflow/config/smoke.yaml", "  steps: 2", "  steps: 3")
    assert write(copy, "smoke").returncode == 0
    assert digest not in results.read_text()


def test_the_tables_of_one_stage_have_separate_markers(copy, pages):
    _, results = pages
    results.write_text(MARKED.format("smoke") + MARKED.format("smoke, ablations"))
    for stage in ("report", "ablations"):
        write_table(copy, stage, f"| of {stage} |\n")
    assert write(copy, "smoke", str(copy.root), "ablations").returncode == 0
    everything, ablations = results.read_text().split("after\n")[:2]
    assert "old" in everything
    assert "| of ablations |" in ablations and "| of report |" not in ablations


def test_the_readme_gets_the_first_table_of_the_overlay_that_it_names(copy, pages):
    readme, results = pages
    results.write_text(MARKED.format("default") + MARKED.format("smoke"))
    readme.write_text(HEADLINE.format("smoke"))
    write_table(copy, "report", "### Answers\n\n| one |\n| :-- |\n| 1 |\n\ntext\n\n| two |\n")
    assert write(copy, "default").returncode == 0
    assert "old" in readme.read_text()
    assert write(copy, "smoke").returncode == 0
    block, _ = readme.read_text().split("after\n")
    assert "\n\n| one |\n| :-- |\n| 1 |\n\n<!--" in f"\n{block}"
    assert "old" not in block and "two" not in block


def test_a_run_without_tables_is_an_error(copy, pages):
    _, results = pages
    results.write_text(MARKED.format("smoke"))
    done = write(copy, "smoke")
    assert done.returncode == 1
    assert "table.md: missing" in done.stdout and "overlay=smoke" in done.stdout


def test_a_page_without_markers_is_an_error(copy, pages):
    _, results = pages
    results.write_text("# Results\n")
    write_table(copy, "report", "| a table |\n")
    done = write(copy, "smoke")
    assert done.returncode == 1 and "no line `<!-- results of smoke:" in done.stdout
