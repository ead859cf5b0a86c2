"""The README's tables are those of the run, beside the digest of its settings."""

from __future__ import annotations

import re
import sys

MARKED = "before\n<!-- results of {}: written by hand -->\nold\n<!-- /results -->\nafter\n"


def write(copy, *arguments: str):
    return copy.run(sys.executable, "workflow/readme.py", *arguments)


def test_the_tables_replace_what_stood_between_the_markers_of_their_overlay(copy):
    readme, table = copy.root / "README.md", copy.root / "data/report/table.md"
    readme.write_text(MARKED.format("default") + MARKED.format("smoke"))
    table.parent.mkdir(parents=True)
    table.write_text("| a table |\n")
    assert write(copy, "smoke").returncode == 0
    default, smoke = readme.read_text().split("after\n")[:2]
    assert "old" in default and "| a table |" not in default
    assert "old" not in smoke and "| a table |" in smoke
    digest = re.search(r"Overlay `smoke`, configuration ([0-9a-f]{16})", smoke)[1]
    copy.edit("workflow/config/smoke.yaml", "  steps: 2", "  steps: 3")
    assert write(copy, "smoke").returncode == 0
    assert digest not in readme.read_text()


def test_the_tables_of_one_stage_have_markers_of_their_own(copy):
    readme = copy.root / "README.md"
    readme.write_text(MARKED.format("smoke") + MARKED.format("smoke, ablations"))
    for stage in ("report", "ablations"):
        table = copy.root / f"data/{stage}/table.md"
        table.parent.mkdir(parents=True)
        table.write_text(f"| of {stage} |\n")
    assert write(copy, "smoke", str(copy.root), "ablations").returncode == 0
    whole, alone = readme.read_text().split("after\n")[:2]
    assert "old" in whole
    assert "| of ablations |" in alone and "| of report |" not in alone


def test_a_run_that_was_not_made_is_told(copy):
    (copy.root / "README.md").write_text(MARKED.format("smoke"))
    found = write(copy, "smoke")
    assert found.returncode == 1
    assert "table.md: missing" in found.stdout and "overlay=smoke" in found.stdout
